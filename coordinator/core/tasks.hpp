// A task's life, for the other parts of the core.
#pragma once

#include "coordinator/core/context.hpp"

namespace edgefleet::coordinator {

void count_in(State& state, Task& task);  // what it costs, until it ends
std::size_t weight(const TaskSpec& spec);  // bytes that count against the bound on memory
std::size_t weight(const TaskRecord& record);  // its spec, and the errors of its attempts
void on(Context& c, const SubmitTasks& event);
void on(Context& c, const CancelTask& event);
void on(Context& c, const RetryTask& event);
void on(Context& c, const ResultsSeen& event);
void on(Context& c, const Undeliverable& event);
void on_task_deadline(Context& c, TaskId id);

// The task has no outcome, and the agent was given this attempt: its result may become the outcome.
bool awaits(const State& state, const AgentName& agent, const AttemptKey& key);
Attempt* find_attempt(Task& task, int n);  // nullptr: no such attempt, or its history was cut
void assign(Context& c, Task& task, ExecutorIndex executor);  // creates a new attempt
void mark_running(Context& c, Task& task, int attempt, Duration run);
// No beat of the agent has ever listed it, although it was sent again and again.
void attempt_not_delivered(Context& c, Task& task, int attempt);
// For a task that has not begun: true if its time to start was over, which ends it.
bool expire(Context& c, Task& task);
void attempt_timed_out(Context& c, Task& task, int attempt);
void result_missing(Context& c, Task& task, int attempt);  // a beat lists it as done, but its result does not arrive
// The agent was lost with it, or came back without it. `how` follows the agent's name in the error.
void attempt_lost(Context& c, Task& task, int attempt, const std::string& how);
// The agent is lost: its task waits for it, for a time that depends on the run time so far.
void start_grace(Context& c, Task& task, int attempt);
void end_grace(Context& c, Task& task);
// An agent that had been given up is back with this attempt. False: the attempt must be stopped there.
bool take_back(Context& c, Task& task, int attempt, const AgentName& agent);

}  // namespace edgefleet::coordinator
