// A task's life, for the other parts of the core.
#pragma once

#include "coordinator/core/context.hpp"

namespace edgefleet::coordinator {

std::size_t weight(const TaskSpec& spec);  // bytes, as the bound on memory counts them
void on(Context& c, const SubmitTasks& event);
void on(Context& c, const CancelTask& event);
void on(Context& c, const RetryTask& event);
void on(Context& c, const ResultsSeen& event);
void on_task_deadline(Context& c, TaskId id);

Attempt* find_attempt(Task& task, int n);  // nullptr: no such attempt, or its history was cut
void join_queue(State& state, Task& task);  // unless it is held after a restore
void set_deadline(State& state, const Task& task);  // while it is scheduled or queued
void give(Context& c, Task& task, ExecutorIndex executor);  // a new attempt there
void mark_running(Context& c, Task& task, int attempt, Duration run);
void attempt_timed_out(Context& c, Task& task, int attempt);
void result_missing(Context& c, Task& task, int attempt);  // it is said to be done, and its result does not come
// The agent went away with it, or came back without it.
void attempt_lost(Context& c, Task& task, int attempt, const std::string& how);
// The agent is away: wait for it as long as what it has done is worth.
void start_grace(Context& c, Task& task, int attempt);
void end_grace(Context& c, Task& task);
// An agent that was given up is back with this attempt. False: it is to be stopped there.
bool take_back(Context& c, Task& task, int attempt);

}  // namespace edgefleet::coordinator
