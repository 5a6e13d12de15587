// What the parts of the core share within one step.
#pragma once

#include "coordinator/core/effect.hpp"
#include "coordinator/core/event.hpp"
#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

struct Context {
  State& state;
  Now now;
  Effects& effects;

  template <typename E>
  void emit(E effect) {
    effects.emplace_back(std::move(effect));
  }
  void note(NoteLevel level, std::string text, std::string kind) {
    emit(Note{level, std::move(text), std::move(kind)});
  }
};

// ---- tasks.cpp: a task's life
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

// ---- fleet.cpp: agents
void on(Context& c, const AgentStatusSeen& event);
void on(Context& c, const AgentInfoSeen& event);
void on(Context& c, const HeartbeatSeen& event);
void on(Context& c, const TemperatureSeen& event);
void on(Context& c, const DrainAgent& event);
void on(Context& c, const CoordinatorSeen& event);
void announce(Context& c);  // who we are
void on_silence(Context& c, AgentIndex index);
void restart_deadlines(Context& c);
void renew_sendings(Context& c);
void forget_beats(Context& c);
Agent* agent_by_name(State& state, const AgentName& name);
Agent& agent_of(Context& c, const AgentName& name);  // made if it is new
bool placeable(const State& state, const Agent& agent);
bool gone(const Agent& agent);
void reserve(State& state, Agent& agent);  // as `alone` and `clearing` say
// Keeps `held` and `alone` of the agent and `held` of the executor in step; every attempt begins and ends its stay
// through these.
void hold(State& state, Agent& agent, const TaskRecord& record, int attempt, std::optional<ExecutorIndex> executor);
void release(State& state, const AgentName& agent, const TaskId& id, int attempt,
             std::optional<ExecutorIndex> executor);

// ---- dispatch.cpp: placement
void on(Context& c, const Place& event);
void resend(Context& c, Agent& agent, const std::vector<AttemptKey>& lost);
void recall_later(Context& c, const Agent& agent);
void on_recall(Context& c, AgentIndex index);  // what waits there for longer than was expected
ClassIndex class_for(State& state, const TaskRecord& record);

}  // namespace edgefleet::coordinator
