// The tables of docs/llm.md: ./dev sim-llm
#include <cstdio>
#include <cstdlib>

#include "tests/simulation/llm/scenarios.hpp"

namespace {

using namespace edgefleet;
using namespace edgefleet::simulation;

constexpr std::uint64_t runs = 20;  // seeds; the figures are means

double seconds(Duration length) { return std::chrono::duration<double>(length).count(); }

template <typename Talks>
void row(const char* what, const Servers& servers, Talks talks, Placing placing) {
  double loads = 0, prompts = 0, read = 0, wait = 0, longest = 0, whole = 0;
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    const Figures figures = simulate(servers, talks(seed), placing);
    loads += figures.loads;
    prompts += static_cast<double>(figures.prompt_tokens);
    read += static_cast<double>(figures.read_tokens);
    wait += seconds(figures.mean_wait);
    longest += seconds(figures.longest_wait);
    whole += seconds(figures.whole);
  }
  std::printf("| %s | %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f |\n", what,
              placing == Placing::ours ? "ours" : "least busy", loads / runs, prompts / runs, read / runs, wait / runs,
              longest / runs, whole / runs);
}

}  // namespace

int main() {
  std::puts(
      "| work | placement | loads | prompt tokens | of them read | first token after, s | at most, s | all done after, "
      "s |");
  std::puts("|---|---|---|---|---|---|---|---|");
  for (const auto& [busy, what] : {std::pair{0.0, "200 questions at once, two models"},
                                   {0.9, "the same, 90 % busy"},
                                   {0.6, "the same, 60 % busy"},
                                   {0.3, "the same, 30 % busy"}}) {
    for (const auto placing : {Placing::least_busy, Placing::ours}) {
      row(what, two_servers(), [busy = busy](std::uint64_t seed) { return mixed_questions(busy, seed); }, placing);
    }
  }
  for (const auto& [people, what] : {std::pair{3, "3 people talk to 4 agents"}, {6, "6 people"}, {12, "12 people"}}) {
    for (const auto placing : {Placing::least_busy, Placing::ours}) {
      row(what, four_servers(), [people = people](std::uint64_t seed) { return long_talks(people, seed); }, placing);
    }
  }
  return EXIT_SUCCESS;
}
