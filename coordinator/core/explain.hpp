// Honest answers to "why does it wait" and "who is eligible", from the same lists that placement uses.
#pragma once

#include <string>

#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

struct Explanation {
  std::size_t offering = 0;  // agents that offer the capability, conditions and state aside
  std::size_t eligible = 0;  // of those: they meet the conditions and are there to take tasks, be they busy or not
  std::size_t meeting = 0;   // of those that meet the conditions: agents that are there at all, able or not
  bool free = false;         // one of them can take a task now
  std::string waiting;       // a sentence; empty if one is free
};
Explanation explain(const State& state, const Capability& capability, const Where& where);

// Why this one waits; empty when it does not.
std::string explain_task(const State& state, const Task& task, Time now);
std::string explain_task(const State& state, const Task& task, Time now, const Explanation& of_its_class);
// How many of its class will be placed before it.
std::size_t ahead(const State& state, const Task& task);

}  // namespace edgefleet::coordinator
