#include <cstdlib>
#include <string>

#include "tests/simulation/scenario.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::simulation;
using namespace std::chrono_literals;

TEST_CASE("whatever goes wrong, every accepted task ends exactly once") {
  const char* wanted = std::getenv("EDGEFLEET_SEEDS");  // for a longer hunt
  const std::uint64_t seeds = wanted == nullptr ? 300 : std::stoull(wanted);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("replay it with: ./dev sim --seed " << seed);
    const World world = play({seed, 4, 1min});
    for (const auto& problem : problems(world)) FAIL_CHECK(problem);
  }
}

TEST_CASE("the same seed gives the same run") {
  const auto run = [] {
    const World world = play({99, 3, 1min});
    std::string all;
    for (const auto& [id, task] : world.accepted()) all += world.describe(id) + '\n';
    return all;
  };
  CHECK(run() == run());
}
