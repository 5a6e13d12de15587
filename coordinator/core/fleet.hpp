// The agents: presence, capacity, and the lease that each heartbeat renews; for the other parts of the core.
#pragma once

#include "coordinator/core/context.hpp"

namespace edgefleet::coordinator {

void on(Context& c, const AgentStatusSeen& event);
void on(Context& c, const AgentInfoSeen& event);
void on(Context& c, const HeartbeatSeen& event);
void on(Context& c, const TemperatureSeen& event);
void on(Context& c, const DrainAgent& event);
void on(Context& c, const ReloadAgent& event);
void on(Context& c, const RemoveAgent& event);
void on(Context& c, const CoordinatorSeen& event);
void announce(Context& c);  // publishes our reign
void on_silence(Context& c, AgentIndex index);
void restart_deadlines(Context& c);
void renew_sendings(Context& c);
void forget_beats(Context& c);
Agent* agent_by_name(State& state, const AgentName& name);
const Agent* agent_by_name(const State& state, const AgentName& name);
Agent& agent_of(Context& c, const AgentName& name);  // created if it is new
bool placeable(const State& state, const Agent& agent);
bool gone(const Agent& agent);  // lost or offline
bool vacant(const Agent& place);  // no agent is there any longer
// The state that the agent has or will have by the orders that it was given: it reports it a moment later.
AgentState ordered_state(const Agent& agent);
void reserve(State& state, Agent& agent);  // updates `reserved` of its executors from `alone` and `clearing`
// These keep `attempts` and `alone` of the agent consistent with `assigned` of the executor: every attempt is added by
// hold() and removed by release().
void hold(State& state, Agent& agent, const TaskRecord& record, int attempt, std::optional<ExecutorIndex> executor);
void release(State& state, const AgentName& agent, const TaskId& id, int attempt,
             std::optional<ExecutorIndex> executor);

}  // namespace edgefleet::coordinator
