// The scenarios that `./dev sim-heat` shows and heat_test.cpp compares with docs/heat.md.
#pragma once

#include <vector>

#include "tests/simulation/heat/run.hpp"

namespace edgefleet::simulation {

inline constexpr Duration simulated = std::chrono::hours(4);
inline constexpr double room = 25;  // degrees Celsius

Workload short_bursts();   // every ten minutes, two and a half of them at full speed
Workload short_endless();
Workload llm_process();    // ten minutes on all cores, run by the agent: it can be paused
Workload llm_server();     // the same on a server beside the agent: it cannot be paused

struct Row {
  const BoardModel* board = nullptr;
  Workload workload;
  Care care = Care::none;
  Outcome outcome;
};
std::vector<Row> all_rows();

}  // namespace edgefleet::simulation
