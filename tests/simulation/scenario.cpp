#include "tests/simulation/scenario.hpp"

#include <algorithm>

namespace edgefleet::simulation {

using namespace std::chrono_literals;

World play(const Scenario& scenario, const OnTime& on_time) {
  constexpr Duration round = 5s;
  World world(scenario.seed, scenario.agents, Hazards{});
  for (Duration time{0}; time < scenario.time; time += round) {
    world.submit(std::max(10, scenario.agents));
    world.run(round);
    if (time / round % 3 == 0) world.cancel_some(std::max(2, scenario.agents / 10));
    if (on_time) on_time(world, time + round);
  }
  world.calm_down();
  for (int i = 0; i < 60 && world.unfinished() > 0; ++i) world.run(30s);
  return world;
}

std::vector<std::string> problems(const World& world) {
  auto all = world.violations();
  for (const auto& [id, task] : world.accepted()) {
    if (task.outcomes > 1) all.push_back("more than one outcome: " + world.describe(id));
  }
  for (const TaskId& id : world.innocents_failed()) {
    const auto& record = world.kept(id);
    int spent = 0;
    for (const coordinator::Attempt& attempt : record.attempts) {
      if (!attempt.spent) continue;
      ++spent;
      if (world.reason_of_end(id, attempt).empty())
        all.push_back("an attempt failed for no reason: " + world.describe(id));
    }
    if (spent < record.spec.max_attempts) all.push_back("given up too early: " + world.describe(id));
  }
  if (const auto rest = world.unfinished(); rest > 0) {
    all.push_back(std::to_string(rest) + " tasks have no outcome");
    int named = 0;
    for (const auto& [id, task] : world.accepted()) {
      if (task.outcomes == 0 && ++named <= 5) all.push_back("no outcome: " + world.describe(id));
    }
  }
  return all;
}

}  // namespace edgefleet::simulation
