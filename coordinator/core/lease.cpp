#include "coordinator/core/lease.hpp"

#include <algorithm>
#include <map>

#include "coordinator/core/dispatch.hpp"
#include "coordinator/core/fleet.hpp"

namespace edgefleet::coordinator {
namespace {

// A hot agent that slows a task reports how much longer the task may take. It slows a task to a fifth at the lowest, so
// a longer extension is not granted.
constexpr int most_extended = 4;  // timeouts

std::optional<ExecutorIndex> executor_by_name(const State& state, const Agent& agent, const ExecutorName& name) {
  for (const ExecutorIndex index : agent.executors) {
    if (state.placement.executor(index).info.name == name) return index;
  }
  return std::nullopt;
}

// The agent was given more tasks than it can run now, perhaps because it became hot: those that wait there are
// recalled, so that others can run them.
void recall_surplus(Context& c, const Agent& agent) {
  const bool surplus = std::any_of(agent.executors.begin(), agent.executors.end(), [&](ExecutorIndex index) {
    const ExecutorView& view = c.state.placement.executor(index);
    return view.assigned > view.slots;
  });
  if (surplus) recall_later(c, agent);
}

struct Listed {
  const HeldTask* task = nullptr;
  bool known = false;
};
using Listing = std::map<std::pair<TaskId, int>, Listed>;

// The agent lists the attempt, in some phase.
void check_listed(Context& c, Agent& agent, Task& task, Attempt& live, const HeldTask& held) {
  Lease& lease = live.lease;
  const int attempt = live.n;
  lease.listed = true;
  lease.listed_waiting = held.phase == HeldPhase::waiting;
  live.session = agent.session;
  if (!lease.executor) {
    lease.executor = executor_by_name(c.state, agent, held.executor);
    if (lease.executor) c.state.placement.update(*lease.executor, [](ExecutorView& view) { ++view.assigned; });
  }
  end_grace(c, task);
  if (lease.listed_waiting && expire(c, task)) return;
  lease.resends = 0;
  const bool running = held.phase == HeldPhase::running;
  if (running || held.phase == HeldPhase::done) mark_running(c, task, attempt, held.run);
  if (task.record.state == TaskState::cancelling) c.emit(SendCancel{agent.name, {{task.record.id, attempt}}});
  const Duration extended = std::min(held.extended, most_extended * task.record.spec.timeout);
  const Duration patience = task.record.spec.timeout + extended + 2 * heartbeat_interval;
  if (running && lease.running_since && c.now.mono - *lease.running_since > patience) {
    return attempt_timed_out(c, task, attempt);
  }
  if (held.phase != HeldPhase::done) return;
  if (!lease.done_since) lease.done_since = c.now.mono;
  if (c.now.mono - *lease.done_since > std::max(patience, c.state.policy.result_patience)) {
    result_missing(c, task, attempt);
  }
}

struct Missing {
  std::vector<AttemptKey> again;  // to be sent again
  std::vector<AttemptKey> never_arrived;  // sent as often as `most_resends` allows
};

void check_unlisted(Context& c, Agent& agent, Task& task, Attempt& live, const Heartbeat& beat, Missing& missing) {
  Lease& lease = live.lease;
  const int attempt = live.n;
  if (live.session != beat.session) return attempt_lost(c, task, attempt, "was restarted");
  // The task never arrived, or its cancel was not confirmed. If the agent has seen neither its message nor a later
  // one, the message gets two heartbeats to arrive.
  if (beat.n < lease.n && lease.sent_at + 2 * heartbeat_interval > c.now.mono) return;
  if (!lease.listed && lease.first_sent_at &&
      c.now.mono - *lease.first_sent_at > task.record.spec.timeout + 2 * heartbeat_interval) {
    return attempt_not_delivered(c, task, attempt);
  }
  if (expire(c, task)) return;
  if (task.record.state == TaskState::cancelling) return c.emit(SendCancel{agent.name, {{task.record.id, attempt}}});
  if (beat.n < lease.n && ++lease.resends > c.state.policy.most_resends) {
    lease.listed_waiting = true;  // the task has not begun
    return missing.never_arrived.push_back({task.record.id, attempt});
  }
  end_grace(c, task);
  missing.again.push_back({task.record.id, attempt});
}

// Compares the attempts that are assigned to the agent with those that its beat lists.
void check_held(Context& c, Agent& agent, const Heartbeat& beat, Listing& listed) {
  Missing missing;
  for_each_attempt(c, agent, [&](Task& task, int attempt) {
    Attempt* const live = find_attempt(task, attempt);
    if (live == nullptr) return;
    const auto entry = listed.find({task.record.id, attempt});
    if (entry == listed.end()) return check_unlisted(c, agent, task, *live, beat, missing);
    entry->second.known = true;
    check_listed(c, agent, task, *live, *entry->second.task);
  });
  if (missing.never_arrived.empty()) return resend(c, agent, missing.again);
  agent.unreachable_until = c.now.mono + c.state.policy.unreachable_for;
  c.note(NoteLevel::warning,
         "agent " + agent.name.str() +
             " sends heartbeats but does not receive its tasks: check its permission to read its topics below tasks/",
         "unreachable " + agent.name.str());
  for (const auto& [id, attempt] : missing.never_arrived)
    attempt_lost(c, c.state.tasks.at(id), attempt, "did not receive it");
}

// The agent has received our latest message, or it is time for another try.
void check_reachable(Context& c, Agent& agent, const Heartbeat& beat) {
  if (agent.unreachable_until && (beat.n >= agent.n || c.now.mono >= *agent.unreachable_until))
    agent.unreachable_until.reset();
}

// Attempts that the beat lists and that are not assigned to the agent: it kept them through a loss, or they are no
// longer needed.
void check_unassigned(Context& c, Agent& agent, const Listing& listed) {
  SendCancel stop{agent.name, {}};
  for (const auto& [key, entry] : listed) {
    const TaskId& id = key.first;
    if (entry.known || entry.task->phase == HeldPhase::done) continue;  // its result arrives by itself
    const auto found = c.state.tasks.find(id);
    if (found != c.state.tasks.end() && take_back(c, found->second, entry.task->attempt, agent.name)) {
      const auto executor = executor_by_name(c.state, agent, entry.task->executor);
      Task& task = found->second;
      if (Attempt* const back = find_attempt(task, entry.task->attempt)) back->lease.executor = executor;
      hold(c.state, agent, task.record, entry.task->attempt, executor);
      if (entry.task->phase == HeldPhase::running) mark_running(c, task, entry.task->attempt, entry.task->run);
      continue;
    }
    if (found != c.state.tasks.end()) {
      Attempt* const own = find_attempt(found->second, entry.task->attempt);
      if (own != nullptr && own->agent == agent.name && own->state == AttemptState::lost) own->lease.stopping = true;
    }
    stop.tasks.push_back({id, entry.task->attempt});
  }
  if (!stop.tasks.empty()) c.emit(std::move(stop));
}

}  // namespace

std::vector<AttemptKey> attempts_of(const Agent& agent) {
  std::vector<AttemptKey> all;
  for (const auto& [id, attempt] : agent.attempts) all.push_back({id, attempt});
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return all;
}

void renew_lease(Context& c, Agent& agent, const Heartbeat& beat) {
  check_reachable(c, agent, beat);
  Listing listed;
  for (const HeldTask& task : beat.held) listed[{task.id, task.attempt}] = Listed{&task, false};
  check_held(c, agent, beat, listed);
  check_unassigned(c, agent, listed);
  recall_surplus(c, agent);
}

}  // namespace edgefleet::coordinator
