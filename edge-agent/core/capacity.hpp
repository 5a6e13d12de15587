// How many tasks an agent can accept, of which capabilities, and why it returns others. Pure functions of its state.
#pragma once

#include "edge-agent/core/state.hpp"

namespace edgefleet::agent {

bool stopping(const State& state);
int allowed(const State& state, const ExecutorSlots& executor);  // tasks that it may run now
std::size_t open_tasks(const State& state);                      // waiting and running
// False: it only has a problem. A plug-in knows its capabilities after its first hello.
bool says_what_it_offers(const ExecutorInfo& executor);
bool serves(const ExecutorSlots& executor, const Capability& capability);
// `wanted`: the coordinator's choice; empty: the executor with the most room. nullptr: there is none.
ExecutorSlots* executor_for(State& state, const Capability& capability, const ExecutorName& wanted);
// Why a task is returned instead of accepted; an empty code: it is accepted.
TaskError refusal(const State& state, const ExecutorSlots* executor);

}  // namespace edgefleet::agent
