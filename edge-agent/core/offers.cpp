#include "edge-agent/core/offers.hpp"

#include "edge-agent/core/capacity.hpp"

namespace edgefleet::agent {
namespace {

constexpr const char* starts_again = "it starts with its new configuration";

TaskError no_longer_offered(const ExecutorSlots& executor) {
  const std::string& problem = executor.info.problem;
  return {
      "not_offered", "this agent no longer offers the capability" + (problem.empty() ? "" : ": " + problem), true, {}};
}

// What the executor offers, or why it cannot: then the tasks that wait for it go to other agents. Those of a changed
// one wait for what its successor offers.
void refresh_offer(Context& c, ExecutorSlots& executor) {
  ExecutorInfo info = executor.offered;
  if (executor.needs_files && info.problem.empty()) info.problem = c.state.files_problem;
  if (executor.info != info) {
    executor.info = std::move(info);
    c.state.info_changed = true;
    c.state.capacity_changed = true;
  }
  if (executor.starting) return;
  for (const AttemptKey& key : std::exchange(executor.waiting, {})) {
    Held& held = c.state.held.at(key);
    if (serves(executor, held.capability)) {
      executor.waiting.push_back(key);
    } else {
      finish(c, key, held, ResultStatus::returned, no_longer_offered(executor));
    }
  }
  pump(c, executor);
}

std::string executors_with_files(const State& state) {
  std::string names;
  for (const auto& [name, executor] : state.executors) {
    if (executor.needs_files) names += (names.empty() ? "" : ", ") + name.str();
  }
  return names;
}

// Until a successor has said what it offers, it is taken to offer the same as its predecessor, out of service:
// otherwise nobody would know that a task for it need only wait.
ExecutorInfo like_before(const ExecutorSlots& executor, const ExecutorInfo& successor) {
  ExecutorInfo info = executor.offered;
  info.name = successor.name;
  info.problem = executor.starting ? starts_again : successor.problem;
  info.rests = successor.rests;
  return info;
}

void await_successor(Context& c, ExecutorSlots& executor) {
  executor.starting = true;
  executor.offered.problem = starts_again;
  executor.offered.rests = true;
  refresh_offer(c, executor);
}

void remove(Context& c, ExecutorSlots& executor) {
  executor.removed = true;
  executor.starting = false;
  executor.needs_files = false;
  executor.rests_until.reset();
  executor.offered.capabilities.clear();
  executor.info = executor.offered;
  return_waiting(c, executor, "not_offered", "this agent no longer offers the capability: its executor was removed");
  forget_if_over(c, executor);
}

}  // namespace

// A successor that will offer soon says so by `rests`; its predecessor's tasks wait that long.
void on(Context& c, const OfferChanged& event) {
  ExecutorSlots& executor = c.state.executors[event.executor.name];
  executor.freezes = event.freezes;
  executor.needs_files = event.needs_files;
  executor.removed = false;
  executor.starting = executor.starting && event.executor.rests;
  executor.offered = says_what_it_offers(event.executor) ? event.executor : like_before(executor, event.executor);
  refresh_offer(c, executor);
}

// A coordinator that is not running is no reason: nobody gives tasks meanwhile, and those that are here are kept.
void on(Context& c, const FilesSeen& event) {
  State& state = c.state;
  if (event.problem == state.files_problem || (!event.problem.empty() && !state.coordinator_online)) return;
  if (event.problem.empty() != state.files_problem.empty()) {
    const std::string names = executors_with_files(state);
    const std::string others = "tasks with inputs of more than " + std::to_string(limits::input_bytes / 1024) + " KiB";
    c.emit(event.problem.empty()
               ? WriteLog{false, "the coordinator's HTTP API can be reached again; in service: " +
                                     (names.empty() ? others : names)}
               : WriteLog{true, event.problem + (names.empty() ? "; " + others + " go to other agents until then"
                                                               : "; out of service until then: " + names)});
    state.info_changed = true;
  }
  state.files_problem = event.problem;
  for (auto& [name, executor] : state.executors) refresh_offer(c, executor);
}

// An executor that has offered nothing yet is not known here, and has no tasks.
void on(Context& c, const Reconfigured& event) {
  State& state = c.state;
  state.policy.max_tasks = event.max_tasks;
  state.policy.stop_grace = event.stop_grace;
  state.heat.use(event.heat, c.now);
  const auto each = [&](const std::vector<ExecutorName>& names, auto change) {
    for (const ExecutorName& name : names) {
      const auto known = state.executors.find(name);
      if (known != state.executors.end()) change(c, known->second);
    }
  };
  each(event.changed, await_successor);
  each(event.removed, remove);
  state.info_changed = true;
  state.capacity_changed = true;
  pump_all(c);
}

void forget_if_over(Context& c, const ExecutorSlots& executor) {
  if (executor.removed && executor.running == 0) c.state.executors.erase(ExecutorName(executor.info.name));
}

}  // namespace edgefleet::agent
