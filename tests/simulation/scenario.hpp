// A run of the simulated world: tasks arrive while faults happen; then the faults end, and every accepted task must
// end.
#pragma once

#include <functional>

#include "tests/simulation/world.hpp"

namespace edgefleet::simulation {

struct Scenario {
  std::uint64_t seed = 1;
  int agents = 4;
  Duration time = std::chrono::minutes(1);  // with faults
};
using OnTime = std::function<void(const World&, Duration simulated)>;

World play(const Scenario& scenario, const OnTime& on_time = {});

// The problems of a world at its end; empty: none.
std::vector<std::string> problems(const World& world);

}  // namespace edgefleet::simulation
