#include "coordinator/core/step.hpp"

#include "coordinator/core/dispatch.hpp"
#include "coordinator/core/fleet.hpp"
#include "coordinator/core/parameters.hpp"
#include "coordinator/core/task_queue.hpp"
#include "coordinator/core/tasks.hpp"

namespace edgefleet::coordinator {
namespace {

void on(Context& c, const BrokerUp&) {
  c.state.connected = true;
  restart_deadlines(c);
  announce(c);
}

// Without the broker no message arrives, so the silence of an agent proves nothing.
void on(Context& c, const BrokerDown&) {
  c.state.connected = false;
  forget_beats(c);
}

void on(Context& c, const Stalled&) {
  restart_deadlines(c);
  renew_sendings(c);
}

void on(Context& c, const Tick&) {
  if (c.state.connected) {
    for (const AgentIndex index : c.state.silence.take_due(c.now.mono)) on_silence(c, index);
    for (const AgentIndex index : c.state.recalls.take_due(c.now.mono)) on_recall(c, index);
  }
  for (const TaskId& id : c.state.task_deadlines.take_due(c.now.mono)) on_task_deadline(c, id);
}

void on(Context& c, const Committed& event) {
  for (const TaskId& id : event.ended) {
    c.state.tasks.erase(id);
    c.state.on_hold.erase(id);
  }
}

void on(Context& c, const ReignBegun&) { c.emit(SaveReign{c.state.reign}); }

void on(Context& c, const ReleaseHeld& event) {
  for (const TaskId& id : std::exchange(c.state.on_hold, {})) {
    const auto task = c.state.tasks.find(id);
    if (task == c.state.tasks.end()) continue;
    if (task->second.record.state == TaskState::queued && !task->second.queued_in) join_queue(c.state, task->second);
  }
  c.emit(SaveReleased{});
  c.emit(Done{event.request});
}

}  // namespace

Effects step(State& state, const Event& event, Now now) {
  if (!state.order_start) {
    state.order_start = now.mono;
    state.order_base = std::max(state.order_base, now.wall.unix_ms);
  }
  Effects effects;
  Context context{state, now, effects};
  std::visit([&](const auto& e) { on(context, e); }, event);
  return effects;
}

void recover(State& state, std::vector<TaskRecord> records, Now now) {
  Effects nothing;  // the records are already durable, and nothing is sent before the broker is connected
  Context c{state, now, nothing};
  for (auto& record : records) {
    const TaskId id = record.id;
    Task& task = state.tasks[id];
    task.record = std::move(record);
    task.durable = durable_state(task.record);
    if (task.record.batch) ++state.batch_rest[*task.record.batch];
    for (Attempt& attempt : task.record.attempts)
      attempt.lease = {};  // it belonged to an earlier run of the coordinator
    count_in(state, task);
    const std::int64_t submitted = task.record.order + to_ms(task.record.spec.priority * priority_step);
    state.order_base = std::max(state.order_base, submitted);
    if (task.record.expires_in) task.expires = now.mono + *task.record.expires_in;
    if (task.record.due_in) task.due = now.mono + *task.record.due_in;
    if (task.record.state == TaskState::queued) join_queue(state, task);
    if (task.record.state == TaskState::queued || task.record.state == TaskState::scheduled) {
      set_deadline(state, task);
      continue;
    }
    for (const Attempt& attempt : task.record.attempts) {
      if (ended(attempt.state)) continue;
      Agent& agent = agent_of(c, attempt.agent);
      hold(state, agent, task.record, attempt.n, std::nullopt);
      state.silence.set(agent.index, now.mono + state.policy.silence);
    }
  }
}

void recover_drained(State& state, const AgentName& name) {
  Effects nothing;
  Context c{state, Now{}, nothing};
  agent_of(c, name).drained = true;
}

std::optional<Time> next_deadline(const State& state) {
  auto next = state.task_deadlines.next();
  if (!state.connected) return next;
  for (const auto& other : {state.silence.next(), state.recalls.next(), state.placement.wake()}) {
    if (other && (!next || *other < *next)) next = other;
  }
  return next;
}

}  // namespace edgefleet::coordinator
