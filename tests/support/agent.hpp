// An agent's core in a test that reads as a conversation: incoming events, and the effects of each.
#pragma once

#include <optional>
#include <vector>

#include "edge-agent/core/step.hpp"

namespace edgefleet::test {

using namespace edgefleet::agent;
using namespace std::chrono_literals;

inline const Reign reign{3, *SessionId::parse("coordinator")};
inline const Capability work = *Capability::parse("work");
inline TaskId id(std::uint64_t n) { return TaskId{Ulid{1, n}}; }

struct Conversation {
  State state{*AgentName::parse("pi-1"), *SessionId::parse("life"), HeatLimits{}};
  Time now{1h};
  Effects effects;

  explicit Conversation(int slots = 1, bool freezes = false) {
    ExecutorInfo executor;
    executor.name = *ExecutorName::parse("main");
    executor.capabilities = {work};
    executor.slots = slots;
    receive(OfferChanged{executor, freezes});
    receive(LinkUp{});
    receive(CoordinatorSeen{true, reign});
  }
  void receive(const Event& event) { effects = step(state, event, now); }
  void flush() { receive(Flush{}); }
  void give(const std::vector<std::uint64_t>& numbers, std::uint64_t n = 1) {
    TasksSeen seen{reign, n, work, {}};
    for (const auto number : numbers) seen.tasks.push_back({id(number), 1, "{}", 1min});
    receive(seen);
  }
  void done(std::uint64_t number, std::optional<TaskError> error = {}) {
    Finished finished;
    finished.key = {id(number), 1};
    finished.output = JsonText("1");
    finished.error = std::move(error);
    receive(finished);
  }
  template <typename E>
  std::vector<E> all() const {
    std::vector<E> found;
    for (const auto& effect : effects) {
      if (const auto* e = std::get_if<E>(&effect)) found.push_back(*e);
    }
    return found;
  }
  std::vector<TaskResult> results() {
    flush();
    std::vector<TaskResult> found;
    for (const auto& send : all<SendResults>()) found.insert(found.end(), send.results.begin(), send.results.end());
    return found;
  }
};

}  // namespace edgefleet::test
