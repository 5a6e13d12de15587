// Assigns the queued tasks: placement chooses; this file creates the attempts and fills the messages.
#include <algorithm>
#include <map>

#include "common/core/where.hpp"
#include "coordinator/core/dispatch.hpp"
#include "coordinator/core/fleet.hpp"
#include "coordinator/core/tasks.hpp"

namespace edgefleet::coordinator {
namespace {

// Tasks for one agent and capability, to be sent in messages within the bounds.
struct Outgoing {
  std::vector<AttemptKey> tasks;
  std::size_t bytes = limits::envelope_bytes;
};
using Outbox = std::map<std::pair<AgentIndex, Capability>, Outgoing>;

void send(Context& c, AgentIndex to, const Capability& capability, Outgoing& outgoing) {
  if (outgoing.tasks.empty()) return;
  Agent& agent = c.state.agents[to];
  ++agent.n;
  for (const AttemptKey& key : outgoing.tasks) {
    if (Attempt* const attempt = find_attempt(c.state.tasks.at(key.id), key.attempt)) {
      attempt->lease.n = agent.n;
      attempt->lease.sent_at = c.now.mono;
      if (!attempt->lease.first_sent_at) attempt->lease.first_sent_at = c.now.mono;
    }
  }
  c.emit(SendTasks{agent.name, capability, agent.n, std::move(outgoing.tasks)});
  outgoing = Outgoing{};
}

void add(Context& c, Outbox& outbox, AgentIndex to, const Task& task, int attempt) {
  const Capability& capability = task.record.spec.capability;
  Outgoing& outgoing = outbox[{to, capability}];
  const TaskSpec& spec = task.record.spec;
  const std::size_t bytes = spec.input.size() + (spec.input_at ? 2 : 1) * limits::element_bytes;
  if (outgoing.tasks.size() >= limits::message_elements || outgoing.bytes + bytes > limits::payload_bytes) {
    send(c, to, capability, outgoing);
  }
  outgoing.tasks.push_back({task.record.id, attempt});
  outgoing.bytes += bytes;
}

void send_all(Context& c, Outbox& outbox) {
  for (auto& [key, outgoing] : outbox) send(c, key.first, key.second, outgoing);
}

// ---- tasks that must be alone

// The agent with the fewest tasks, which will be empty soonest; none: no agent can take tasks of this class.
std::optional<AgentIndex> emptiest(const State& state, ClassIndex in) {
  std::optional<AgentIndex> best;
  for (const ExecutorIndex index : state.placement.members(in)) {
    const Agent& agent = state.agents[state.placement.executor(index).agent];
    if (!placeable(state, agent) || agent.alone) continue;
    if (!best || agent.attempts.size() < state.agents[*best].attempts.size()) best = agent.index;
  }
  return best;
}

// In a busy fleet no agent becomes empty by itself: for each class with such tasks, one agent gets no new tasks until
// it is empty. An agent that is no longer needed for this, or can no longer take tasks, is released. True: one was.
bool clear_agents(Context& c) {
  State& state = c.state;
  const auto waiting = state.placement.waiting_alone();
  bool released = false;
  for (auto entry = state.clearing.begin(); entry != state.clearing.end();) {
    Agent& agent = state.agents[entry->second];
    const bool wanted = std::binary_search(waiting.begin(), waiting.end(), entry->first);
    if (wanted && placeable(state, agent)) {
      ++entry;
      continue;
    }
    entry = state.clearing.erase(entry);
    reserve(state, agent);
    released = true;
  }
  for (const ClassIndex in : waiting) {
    if (state.clearing.count(in) > 0) continue;
    const auto agent = emptiest(state, in);
    if (!agent) continue;
    state.clearing[in] = *agent;
    reserve(state, state.agents[*agent]);
  }
  return released;
}

}  // namespace

void on(Context& c, const Place&) {
  State& state = c.state;
  if (!state.connected || state.over) return;
  Outbox outbox;
  const auto about = [&](const TaskId& id) {
    const Task& task = state.tasks.at(id);
    return Placement::Preferences{task.avoid.empty() ? nullptr : &task.avoid, task.patient_until};
  };
  const Placement::Idle idle = [&](AgentIndex agent) { return state.agents[agent].attempts.empty(); };
  state.placement.reconsider();
  do {
    while (const auto choice = state.placement.next(about, idle, c.now.mono)) {
      Task& task = state.tasks.at(choice->task.id);
      assign(c, task, choice->executor);
      add(c, outbox, state.placement.executor(choice->executor).agent, task, task.record.attempts.back().n);
    }
  } while (clear_agents(c));
  send_all(c, outbox);
}

void recall_later(Context& c, const Agent& agent) {
  if (!c.state.recalls.has(agent.index)) c.state.recalls.set(agent.index, c.now.mono + c.state.policy.recall_after);
}

void on_recall(Context& c, AgentIndex index) {
  const Agent& agent = c.state.agents[index];
  if (gone(agent)) return;
  SendRecall recall{agent.name, {}};
  bool more = false;
  for (const auto& [id, attempt] : agent.attempts) {
    const auto task = c.state.tasks.find(id);
    if (task == c.state.tasks.end() || task->second.record.state != TaskState::assigned) continue;
    more = true;
    const Attempt& newest = task->second.record.attempts.back();
    if (newest.n == attempt && newest.lease.sent_at + c.state.policy.recall_after <= c.now.mono) {
      recall.tasks.push_back({id, attempt});
    }
  }
  if (more) c.state.recalls.set(index, c.now.mono + c.state.policy.recall_after);
  if (!recall.tasks.empty()) c.emit(std::move(recall));
}

ClassIndex class_for(State& state, const TaskRecord& record) {
  return state.placement.class_of({record.spec.capability, conditions_of(record.spec), suspect(record)});
}

bool suspect(const TaskRecord& record) {
  int losses = 0;
  int spent = 0;
  for (const Attempt& attempt : record.attempts) {
    if (!attempt.spent || !ended(attempt.state)) continue;
    ++spent;
    if (attempt.state == AttemptState::lost) ++losses;
  }
  return losses >= 2 || (losses == 1 && spent + 1 >= record.allowed_attempts);
}

void resend(Context& c, Agent& agent, const std::vector<AttemptKey>& lost) {
  Outbox outbox;
  for (const auto& [id, attempt] : lost) add(c, outbox, agent.index, c.state.tasks.at(id), attempt);
  send_all(c, outbox);
}

}  // namespace edgefleet::coordinator
