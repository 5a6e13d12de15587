// A run of the simulated world: work arrives while everything goes wrong; then the world calms down, and everything
// that was accepted must have ended.
#pragma once

#include <functional>

#include "tests/simulation/world.hpp"

namespace edgefleet::simulation {

struct Scenario {
  std::uint64_t seed = 1;
  int agents = 4;
  Duration time = std::chrono::minutes(1);  // of trouble
};
using OnTime = std::function<void(const World&, Duration simulated)>;

World play(const Scenario& scenario, const OnTime& on_time = {});

// What is wrong with a world at its end; empty: nothing.
std::vector<std::string> problems(const World& world);

}  // namespace edgefleet::simulation
