#include "coordinator/core/task_queue.hpp"

#include "common/core/where.hpp"
#include "coordinator/core/dispatch.hpp"

namespace edgefleet::coordinator {
namespace {

OrderKey key_of(const Task& task) { return OrderKey{task.record.order, task.record.id}; }

// In the queue of the agent that has read its beginning, a task counts as older by `seniority`.
OrderKey key_near(const Task& task) {
  return OrderKey{task.record.order - to_ms(Placement::seniority), task.record.id};
}

}  // namespace

std::int64_t order_of(const Context& c, int priority) {
  return c.state.order_base + to_ms(c.now.mono - *c.state.order_start - priority * priority_step);
}

void take_out(State& state, Task& task) {
  if (task.queued_in) state.placement.dequeue(*task.queued_in, task.client, key_of(task));
  if (task.queued_near) state.placement.dequeue(*task.queued_near, task.client, key_near(task));
  task.queued_in.reset();
  task.queued_near.reset();
}

void leave_queue(Context& c, Task& task) {
  take_out(c.state, task);
  task.due.reset();
  c.state.task_deadlines.clear(task.record.id);
}

void enter_queue(Context& c, Task& task) {
  task.record.state = TaskState::queued;
  task.due.reset();
  task.patient_until = c.now.mono + Placement::load_patience;
  join_queue(c.state, task);
  set_deadline(c.state, task);
  c.emit(SaveTask{task.record.id});
}

void schedule(Context& c, Task& task, Duration pause) {
  task.record.state = TaskState::scheduled;
  task.due = c.now.mono + pause;
  set_deadline(c.state, task);
  c.emit(SaveTask{task.record.id});
}

void start(Context& c, Task& task, Duration delay) {
  if (delay > Duration{0}) {
    schedule(c, task, delay);
  } else {
    enter_queue(c, task);
  }
}

void join_queue(State& state, Task& task) {
  if (state.on_hold.count(task.record.id) > 0) return;
  task.queued_in = class_for(state, task.record);
  state.placement.enqueue(*task.queued_in, task.client, key_of(task));
  if (task.near.empty() || suspect(task.record)) return;
  task.queued_near =
      state.placement.class_of({task.record.spec.capability, conditions_of(task.record.spec), false, task.near});
  state.placement.enqueue(*task.queued_near, task.client, key_near(task));
}

void set_deadline(State& state, const Task& task) {
  auto at = task.due;
  if (task.expires && (!at || *task.expires < *at)) at = task.expires;
  if (at) {
    state.task_deadlines.set(task.record.id, *at);
  } else {
    state.task_deadlines.clear(task.record.id);
  }
}

}  // namespace edgefleet::coordinator
