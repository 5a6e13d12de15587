#include <cstdlib>
#include <string>

#include "tests/simulation/scenario.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::simulation;
using namespace std::chrono_literals;

TEST_CASE("every accepted task ends exactly once, whatever the faults") {
  const char* wanted = std::getenv("EDGEFLEET_SEEDS");  // for a longer search
  const std::uint64_t seeds = wanted == nullptr ? 300 : std::stoull(wanted);
  World::Totals all;
  std::size_t innocents = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("replay it with: ./dev sim --hours 0.0166 --seed " << seed);
    const World world = play({seed, 4, 1min});
    for (const auto& problem : problems(world)) FAIL_CHECK(problem);
    all.cut_retries += world.totals().cut_retries - world.totals().kept_before_cut;
    all.kept_before_cut += world.totals().kept_before_cut;
    all.keys_twice_in_drain += world.totals().keys_twice_in_drain;
    all.keys_repeated += world.totals().keys_repeated;
    all.drains += world.totals().drains;
    all.reloads += world.totals().reloads;
    all.restores += world.totals().restores;
    all.lies += world.totals().lies;
    all.neighbours_of_poison += world.totals().neighbours_of_poison;
    all.passes += world.totals().passes;
    all.looks_for_idle_slots += world.totals().looks_for_idle_slots;
    innocents += world.innocents_failed().size();
  }
  if (seeds < 300) return;
  // The simulated faults did happen.
  CHECK(all.cut_retries > 0);
  CHECK(all.kept_before_cut > 0);
  CHECK(all.keys_twice_in_drain > seeds);
  CHECK(all.keys_repeated > seeds);
  CHECK(all.drains > 0);
  CHECK(all.reloads > 0);
  CHECK(all.restores > 0);
  CHECK(all.lies > seeds);
  CHECK(all.neighbours_of_poison > 0);
  CHECK(all.looks_for_idle_slots > seeds);
  CHECK(all.passes > seeds);
  WARN(innocents << " tasks failed because of lost or failed attempts of their own");
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
