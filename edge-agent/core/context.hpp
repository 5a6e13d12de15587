// What the functions of the core share while one event is stepped. Not part of its interface.
#pragma once

#include <utility>

#include "edge-agent/core/effect.hpp"
#include "edge-agent/core/state.hpp"

namespace edgefleet::agent {

struct Context {
  State& state;
  Time now;
  Effects& effects;
  template <typename E>
  void emit(E effect) {
    effects.emplace_back(std::move(effect));
  }
};

// The result of a task here.
void finish(Context& c, const AttemptKey& key, Held& held, TaskResult result);
void finish(Context& c, const AttemptKey& key, Held& held, ResultStatus status, std::optional<TaskError> error = {});
// Starts waiting tasks in its free slots.
void pump(Context& c, ExecutorSlots& executor);
void pump_all(Context& c);
// Tasks that have not started go to agents that can accept them.
void return_waiting(Context& c, ExecutorSlots& executor, const char* code, const std::string& why);

}  // namespace edgefleet::agent
