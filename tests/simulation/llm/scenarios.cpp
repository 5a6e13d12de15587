#include "tests/simulation/llm/scenarios.hpp"

#include <cmath>
#include <random>

namespace edgefleet::simulation {
namespace {

// The same numbers with every library, unlike the standard's distributions.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  double uniform() { return static_cast<double>(engine_() >> 11U) / 9007199254740992.0; }
  double exponential(double mean) { return -mean * std::log(1 - uniform()); }

 private:
  std::mt19937_64 engine_;
};

Duration seconds(double s) { return Duration{static_cast<std::int64_t>(s * 1e9)}; }

}  // namespace

Servers two_servers() {
  Servers servers;
  servers.models = {"coder", "writer"};
  return servers;
}

std::vector<Talk> mixed_questions(double busy, std::uint64_t seed) {
  constexpr int questions = 200;
  Dice dice(seed);
  const Servers servers = two_servers();
  std::vector<Talk> talks;
  double at = 0;
  for (int i = 0; i < questions; ++i) {
    Talk talk;
    talk.model = servers.models[dice.uniform() < 0.5 ? 0 : 1];
    talk.answer_tokens = 10 + static_cast<int>(dice.exponential(50));
    const double run = talk.question_tokens / servers.prompt_rate + 60 / servers.answer_rate;
    if (busy > 0) at += dice.exponential(run / (busy * servers.agents));
    talk.begins = seconds(at);
    talks.push_back(talk);
  }
  return talks;
}

Servers four_servers() {
  Servers servers;
  servers.agents = 4;
  servers.models = {"writer"};
  return servers;
}

std::vector<Talk> long_talks(int people, std::uint64_t seed) {
  Dice dice(seed);
  std::vector<Talk> talks;
  for (int i = 0; i < people; ++i) {
    Talk talk;
    talk.model = "writer";
    talk.turns = 10;
    talk.answer_tokens = 20 + static_cast<int>(dice.exponential(80));
    talk.begins = seconds(dice.uniform() * 120);
    talk.pause = seconds(10 + dice.exponential(50));
    talks.push_back(talk);
  }
  return talks;
}

}  // namespace edgefleet::simulation
