// The coordinator as one function: an event and a time in, effects out. The rooms behind it: tasks.cpp (a task's
// life), fleet.cpp (agents), dispatch.cpp (placement), explain.cpp (why a task waits).
#pragma once

#include "coordinator/core/effect.hpp"
#include "coordinator/core/event.hpp"
#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

Effects step(State& state, const Event& event, Now now);

// Takes over what the store kept, before the first event. Unfinished tasks only; `state.on_hold` names those to hold.
void recover(State& state, std::vector<TaskRecord> records, Now now);
// Agents that the operator drained.
void recover_drained(State& state, const AgentName& agent);

}  // namespace edgefleet::coordinator
