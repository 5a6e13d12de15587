// Explains why a task waits and which agents are eligible, from the same lists that placement uses.
#pragma once

#include <string>

#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

struct Explanation {
  std::size_t offering = 0;  // agents that offer the capability, whatever their labels, models and state
  std::size_t eligible = 0;  // of those: agents that meet the conditions and take tasks, busy or not
  std::size_t meeting =
      0;   // agents that meet the conditions and are neither lost nor offline, able to take tasks or not
  bool free = false;         // one of them can take a task now
  std::string waiting;       // a sentence; empty if one is free
};
Explanation explain(const State& state, const Capability& capability, const Where& where);

// The reason why this task waits; empty: it does not wait.
std::string explain_task(const State& state, const Task& task, Time now);
std::string explain_task(const State& state, const Task& task, Time now, const Explanation& of_its_class);
// An estimate of the number of tasks of its class that will be placed before it.
std::size_t ahead(const State& state, const Task& task);

}  // namespace edgefleet::coordinator
