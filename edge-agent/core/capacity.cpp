#include "edge-agent/core/capacity.hpp"

#include <algorithm>

namespace edgefleet::agent {
namespace {

bool outbox_full(const State& state) {
  return state.results >= state.policy.most_results || state.result_bytes >= state.policy.most_result_bytes;
}

}  // namespace

bool stopping(const State& state) { return state.stop_at.has_value(); }

int allowed(const State& state, const ExecutorSlots& executor) {
  if (stopping(state) || executor.info.capabilities.empty() || !executor.info.problem.empty()) return 0;
  return allowed_by_heat(state, executor);
}

std::size_t open_tasks(const State& state) { return state.held.size() - state.results; }

bool says_what_it_offers(const ExecutorInfo& executor) {
  return !executor.capabilities.empty() || executor.problem.empty();
}

// Out of service, it still lists the capabilities that it offers otherwise.
bool serves(const ExecutorSlots& executor, const Capability& capability) {
  const auto& offered = executor.info.capabilities;
  return executor.info.problem.empty() && std::find(offered.begin(), offered.end(), capability) != offered.end();
}

// Two executors may offer the same with different models, so none is used in place of `wanted`.
ExecutorSlots* executor_for(State& state, const Capability& capability, const ExecutorName& wanted) {
  if (!wanted.empty()) {
    const auto found = state.executors.find(wanted);
    return found != state.executors.end() && serves(found->second, capability) ? &found->second : nullptr;
  }
  ExecutorSlots* best = nullptr;
  for (auto& [name, executor] : state.executors) {
    if (!serves(executor, capability)) continue;
    const auto room = [](const ExecutorSlots& e) {
      return e.info.slots - e.running - static_cast<int>(e.waiting.size());
    };
    if (best == nullptr || room(executor) > room(*best)) best = &executor;
  }
  return best;
}

TaskError refusal(const State& state, const ExecutorSlots* executor) {
  const auto returned = [](const char* code, const std::string& why) { return TaskError{code, why, true, {}}; };
  if (executor == nullptr) return returned("not_offered", "this agent does not offer the capability");
  if (stopping(state)) return returned("stopping", "this agent is being stopped");
  if (state.draining) return returned("draining", "this agent is drained");
  if (state.heat.policy() == HeatPolicy::paused) return returned("overheated", "this agent is paused because of heat");
  if (executor->rests_until) return returned("resting", "this agent lets its one slot rest to cool");
  if (outbox_full(state)) return returned("outbox_full", "too many results wait for an acknowledgement");
  if (open_tasks(state) >= static_cast<std::size_t>(state.policy.max_tasks) ||
      executor->waiting.size() >= state.policy.most_waiting) {
    return returned("full", "this agent holds its maximum number of tasks");
  }
  return {};
}

AgentState status_of(const State& state) {
  if (state.draining || stopping(state)) return AgentState::draining;
  return state.heat.policy() == HeatPolicy::paused ? AgentState::overheated : AgentState::online;
}

std::map<ExecutorName, int> free_slots(const State& state) {
  std::map<ExecutorName, int> free;
  const bool closed = state.draining || stopping(state) || outbox_full(state);
  const int rest = state.policy.max_tasks - static_cast<int>(open_tasks(state));
  for (const auto& [name, executor] : state.executors) {
    if (executor.removed) continue;
    const int room = allowed(state, executor) - executor.running - static_cast<int>(executor.waiting.size());
    free[name] = closed ? 0 : std::clamp(room, 0, std::max(0, rest));
  }
  return free;
}

std::vector<ExecutorInfo> offers_of(const State& state) {
  std::vector<ExecutorInfo> offers;
  for (const auto& [name, executor] : state.executors) {
    if (!executor.removed) offers.push_back(executor.info);
  }
  return offers;
}

}  // namespace edgefleet::agent
