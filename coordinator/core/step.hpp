// The coordinator as one function: an event and a time in, effects out. Its parts: tasks.cpp (a task's life), fleet.cpp
// (agents), dispatch.cpp (placement), explain.cpp (why a task waits).
#pragma once

#include "coordinator/core/effect.hpp"
#include "coordinator/core/event.hpp"
#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

Effects step(State& state, const Event& event, Now now);

// Adds the stored tasks before the first event. Unfinished tasks only; `state.on_hold` contains those to hold.
void recover(State& state, std::vector<TaskRecord> records, Now now);
// Marks an agent as drained by the operator.
void recover_drained(State& state, const AgentName& agent);

}  // namespace edgefleet::coordinator
