// The claims of docs/llm.md, "Which agent".
#include "tests/simulation/llm/scenarios.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::simulation;

namespace {

constexpr std::uint64_t seeds = 10;

Figures& operator+=(Figures& sum, const Figures& one) {
  sum.answers += one.answers;
  sum.loads += one.loads;
  sum.prompt_tokens += one.prompt_tokens;
  sum.read_tokens += one.read_tokens;
  sum.mean_wait += one.mean_wait;
  return sum;
}

template <typename Talks>
Figures all(const Servers& servers, Talks talks, Placing placing) {
  Figures sum;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) sum += simulate(servers, talks(seed), placing);
  return sum;
}

}  // namespace

TEST_CASE("two models, two agents: models are loaded less often, and answers begin earlier") {
  for (const double busy : {0.0, 0.3, 0.6, 0.9}) {
    const auto questions = [&](std::uint64_t seed) { return mixed_questions(busy, seed); };
    const Figures least_busy = all(two_servers(), questions, Placing::least_busy);
    const Figures ours = all(two_servers(), questions, Placing::ours);
    CAPTURE(busy, least_busy.loads, ours.loads);
    CHECK(ours.answers == 200 * seeds);
    CHECK(least_busy.answers == 200 * seeds);
    CHECK(ours.loads * 3 < least_busy.loads * 2);
    CHECK(ours.mean_wait < least_busy.mean_wait);
    if (busy == 0.0) CHECK(ours.loads * 10 < least_busy.loads);
  }
}

TEST_CASE("as many agents as conversations: earlier turns are not read again") {
  const auto talks = [](std::uint64_t seed) { return long_talks(3, seed); };
  const Figures least_busy = all(four_servers(), talks, Placing::least_busy);
  const Figures ours = all(four_servers(), talks, Placing::ours);
  CAPTURE(least_busy.read_tokens, ours.read_tokens);
  CHECK(ours.prompt_tokens == least_busy.prompt_tokens);
  CHECK(ours.read_tokens < least_busy.read_tokens / 4);
  CHECK(ours.mean_wait < least_busy.mean_wait / 2);
}
