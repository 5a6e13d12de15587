// Hands out what waits: placement chooses, this makes the attempts and fills the messages.
#include <map>

#include "coordinator/core/context.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t element_bytes = 128;   // an element without its input
constexpr std::size_t envelope_bytes = 512;

// Tasks for one agent and capability, on their way into messages that keep the bounds.
struct Outgoing {
  std::vector<AttemptKey> tasks;
  std::size_t bytes = envelope_bytes;
};
using Outbox = std::map<std::pair<AgentIndex, Capability>, Outgoing>;

void send(Context& c, AgentIndex to, const Capability& capability, Outgoing& outgoing) {
  if (outgoing.tasks.empty()) return;
  Agent& agent = c.state.agents[to];
  ++agent.n;
  for (const AttemptKey& key : outgoing.tasks) {
    Task& task = c.state.tasks.at(key.id);
    for (std::size_t i = 0; i < task.leases.size(); ++i) {
      if (task.record.attempts[i].n != key.attempt) continue;
      task.leases[i].n = agent.n;
      task.leases[i].sent_at = c.now.mono;
    }
  }
  c.emit(SendTasks{agent.name, capability, agent.n, std::move(outgoing.tasks)});
  outgoing = Outgoing{};
}

void add(Context& c, Outbox& outbox, AgentIndex to, const Task& task, int attempt) {
  const Capability& capability = task.record.spec.capability;
  Outgoing& outgoing = outbox[{to, capability}];
  const std::size_t bytes = task.record.spec.input.size() + element_bytes;
  if (outgoing.tasks.size() >= limits::message_elements || outgoing.bytes + bytes > limits::payload_bytes) {
    send(c, to, capability, outgoing);
  }
  outgoing.tasks.push_back({task.record.id, attempt});
  outgoing.bytes += bytes;
}

void send_all(Context& c, Outbox& outbox) {
  for (auto& [key, outgoing] : outbox) send(c, key.first, key.second, outgoing);
}

}  // namespace

void on(Context& c, const Place&) {
  State& state = c.state;
  if (!state.connected) return;
  Outbox outbox;
  const auto avoid = [&](const TaskId& id) -> const AgentName* {
    const AgentName& agent = state.tasks.at(id).avoid;
    return agent.empty() ? nullptr : &agent;
  };
  while (const auto choice = state.placement.next(avoid)) {
    Task& task = state.tasks.at(choice->task.id);
    give(c, task, choice->executor);
    add(c, outbox, state.placement.executor(choice->executor).agent, task, task.record.attempts.back().n);
  }
  send_all(c, outbox);
}

void resend(Context& c, Agent& agent, const std::vector<AttemptKey>& lost) {
  Outbox outbox;
  for (const auto& [id, attempt] : lost) add(c, outbox, agent.index, c.state.tasks.at(id), attempt);
  send_all(c, outbox);
}

}  // namespace edgefleet::coordinator
