// A coordinator's core in a test that reads as a conversation: incoming events, and the effects of each.
#pragma once

#include <string>
#include <vector>

#include "coordinator/core/drain.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/core/fleet.hpp"
#include "coordinator/core/step.hpp"

namespace edgefleet::test {

using namespace edgefleet::coordinator;

inline AgentName agent(const std::string& name) { return *AgentName::parse(name); }
inline Capability capability(const std::string& name) { return *Capability::parse(name); }
inline SessionId session(const std::string& name) { return *SessionId::parse(name); }
inline ExecutorName executor_name(const std::string& name) { return *ExecutorName::parse(name); }

class Conversation {
 public:
  Conversation() : state(Reign{7, session("coordinator")}, 1) { receive(BrokerUp{}); }

  State state;
  Now now{Time{std::chrono::hours(1)}, WallTime{1'700'000'000'000}};
  Effects effects;  // by the last receive()

  void receive(const Event& event) {
    effects = step(state, event, now);
    for (const auto& effect : effects) {
      if (const auto* send = std::get_if<SendTasks>(&effect)) sent.push_back(*send);
      if (const auto* cancel = std::get_if<SendCancel>(&effect)) cancels.push_back(*cancel);
    }
  }
  void place() { receive(Place{}); }
  // Marks all outcomes as durable.
  void commit() {
    Committed committed;
    for (const auto& [id, task] : state.tasks) {
      if (ended(task.record.state)) committed.ended.push_back(id);
    }
    receive(committed);
  }
  // The record as the store would keep it.
  TaskRecord kept(const TaskId& id) const { return coordinator::kept(write_of(state.tasks.at(id), now.mono, false)); }
  void pass(Duration time) {
    now.mono += time;
    now.wall.unix_ms += to_ms(time);
    receive(Tick{});
    place();
  }

  std::vector<SendTasks> sent;
  std::vector<SendCancel> cancels;

  template <typename E>
  const E* find() const {
    for (const auto& effect : effects) {
      if (const auto* found = std::get_if<E>(&effect)) return found;
    }
    return nullptr;
  }

  TaskId submit(TaskSpec spec) {
    receive(SubmitTasks{1, "test", {}, {{std::move(spec), {}}}});
    const auto* accepted = find<Accepted>();
    const TaskId id = accepted == nullptr ? TaskId{} : accepted->ids.front();
    place();
    return id;
  }
  TaskId submit(const std::string& what = "work") {
    TaskSpec spec;
    spec.capability = capability(what);
    return submit(std::move(spec));
  }

  AgentInfo info(const std::string& life, int slots, const std::string& what = "work") const {
    AgentInfo info;
    info.session = session(life);
    ExecutorInfo executor;
    executor.name = executor_name("main");
    executor.capabilities = {capability(what)};
    executor.slots = slots;
    info.executors.push_back(std::move(executor));
    return info;
  }
  // The messages of every agent when it connects.
  void join(const std::string& name, const std::string& life, int slots = 1, const std::string& what = "work") {
    receive(AgentInfoSeen{agent(name), info(life, slots, what)});
    beat(name, life, slots, {});
    receive(AgentStatusSeen{agent(name), {AgentState::online, session(life)}});
    place();
  }
  Heartbeat heartbeat(const std::string& life, int free, std::vector<HeldTask> held, std::uint64_t n) {
    Heartbeat beat;
    beat.session = session(life);
    beat.sequence = ++sequence_;
    beat.coordinator = state.reign;
    beat.n = n;
    beat.free_slots[executor_name("main")] = free;
    beat.held = std::move(held);
    beat.clock = now.wall;
    return beat;
  }
  void beat(const std::string& name, const std::string& life, int free, std::vector<HeldTask> held,
            std::optional<std::uint64_t> n = {}) {
    const auto* known =
        state.agent_index.count(agent(name)) > 0 ? &state.agents[state.agent_index.at(agent(name))] : nullptr;
    receive(HeartbeatSeen{agent(name),
                          heartbeat(life, free, std::move(held), n.value_or(known == nullptr ? 0 : known->n))});
    place();
  }
  static HeldTask holding(const TaskId& id, HeldPhase phase = HeldPhase::running, int attempt = 1) {
    return {id, attempt, phase, executor_name("main")};
  }

  void result(const std::string& name, const TaskId& id, ResultStatus status = ResultStatus::succeeded, int attempt = 1,
              std::optional<TaskError> error = {}) {
    TaskResult result;
    result.id = id;
    result.attempt = attempt;
    result.status = status;
    result.output = status == ResultStatus::succeeded ? "42" : "null";
    result.error = std::move(error);
    result.run = std::chrono::milliseconds(5);
    receive(ResultsSeen{agent(name), {std::move(result)}});
    place_keeping();
  }
  // The effects of the result stay in `effects`.
  void place_keeping() {
    const Effects before = effects;
    place();
    effects.insert(effects.begin(), before.begin(), before.end());
  }

  const TaskRecord& task(const TaskId& id) const { return state.tasks.at(id).record; }
  std::string holder(const TaskId& id) const {
    for (const auto& attempt : task(id).attempts) {
      if (!ended(attempt.state)) return attempt.agent.str();
    }
    return "";
  }

 private:
  std::uint64_t sequence_ = 0;
};

}  // namespace edgefleet::test
