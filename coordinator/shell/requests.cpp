#include "coordinator/shell/requests.hpp"

#include <memory>

#include "common/core/overloaded.hpp"
#include "common/core/where.hpp"
#include "common/system/clock.hpp"
#include "coordinator/core/fleet.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t small_fleet = 100;
constexpr std::size_t most_explained = 1000;
constexpr Duration explained_for = std::chrono::milliseconds(500);

Error not_known(const TaskId& id) { return Error{"task " + id.str() + " is not known", ErrorKind::not_found}; }

}  // namespace

bool adds_tasks(const LoopRequest& request) {
  return std::holds_alternative<SubmitRequest>(request) || std::holds_alternative<SubmitBatchRequest>(request);
}

void refuse(const LoopRequest& request, const Error& why) {
  std::visit([&](const auto& one) { one.answer(why); }, request);
}

void Requests::take(LoopRequest request) {
  std::visit([this](auto& one) { handle(std::move(one)); }, request);
}

// ---- answers

RequestId Requests::expect(Reply reply) {
  replies_.emplace(++last_request_, std::move(reply));
  return last_request_;
}

void Requests::reply(RequestId request, const Result<Accepted>& with) {
  const auto found = replies_.find(request);
  if (found == replies_.end()) return;
  const Reply reply = std::move(found->second);
  replies_.erase(found);
  reply(with);
}

void Requests::refuse_waiting(const Error& why) {
  for (auto& [request, reply] : std::exchange(replies_, {})) reply(why);
}

// The current state; `ended`: the state in the store, for a task that is no longer in memory.
Acceptance Requests::acceptance_of(const TaskId& id, TaskState ended) {
  const State& state = engine_.state();
  const auto found = state.tasks.find(id);
  if (found == state.tasks.end()) return {id, ended, 0, 0, {}};
  const Task& task = found->second;
  const Explanation& why = explained({task.record.spec.capability, conditions_of(task.record.spec)});
  return {id, task.record.state, ahead(state, task), why.eligible, explain_task(state, task, monotonic_now(), why)};
}

// An explanation examines every agent that offers the capability, so in a large fleet it may be half a second old.
const Explanation& Requests::explained(const ClassKey& key) {
  const Time mono = monotonic_now();
  if (explained_.size() >= most_explained) explained_.clear();
  auto& [at, why] = explained_[key];
  const bool small = engine_.state().placement.offering(key.capability).size() <= small_fleet;
  if (small || at == Time{} || at + explained_for < mono) {
    why = explain(engine_.state(), key.capability, key.where);
    at = mono;
  }
  return why;
}

// ---- idempotency keys

KeyUse Requests::Earlier::use() const {
  if (task) return {{task->id}, &task->spec, std::nullopt, {}};
  return {{}, nullptr, batch->id, batch->fingerprint};
}

Result<Requests::Earlier> Requests::earlier(const std::string& submitter, const std::string& key) {
  Earlier found;
  if (key.empty()) return found;
  auto task = store_.reads().task_by_key(submitter, key);
  if (!task) return task.error();
  found.task = std::move(*task);
  if (found.task) return found;
  auto batch = store_.reads().batch_by_key(submitter, key);
  if (!batch) return batch.error();
  found.batch = std::move(*batch);
  return found;
}

Status Requests::room_for_tasks() {
  if (space_ == nullptr) return success();
  return space_->for_tasks([this] {
    const auto bytes = store_.reusable();
    return bytes ? *bytes : 0;
  });
}

Status Requests::allowed(const SubmitTasks& event) const {
  if (!may_submit_) return success();
  for (const auto& task : event.tasks) {
    if (auto may = may_submit_(event.submitter, task.spec); !may) return may;
  }
  return success();
}

Result<BatchAcceptance> Requests::same_batch(const BatchRecord& batch) {
  auto tasks = store_.reads().batch_tasks(batch);
  if (!tasks) return tasks.error();
  return BatchAcceptance{batch.id, std::move(*tasks)};
}

// ---- requests

void Requests::handle(SubmitRequest request) {
  const auto& answer = request.answer;
  SubmitTasks event;
  event.submitter = std::move(request.submitter);
  event.tasks.push_back(std::move(request.task));
  if (auto may = allowed(event); !may) return answer(may.error());
  if (request.check) {
    if (auto good = request.check(); !good) return answer(good.error());
  }
  const auto before = earlier(event.submitter, key_of(event));
  if (!before) return answer(before.error());
  if (!before->none()) {
    const auto same = repeat(event, before->use());
    return same ? answer(acceptance_of(before->task->id, before->task->state)) : answer(same.error());
  }
  if (auto room = room_for_tasks(); !room) return answer(room.error());
  event.request = expect([this, answer](const Result<Accepted>& accepted) {
    if (!accepted) return answer(accepted.error());
    answer(acceptance_of(accepted->ids.front(), TaskState::queued));
  });
  engine_.step(event);
  if (!request.made) return;
  if (const Accepted* accepted = engine_.drain().accepted(event.request)) request.made(accepted->ids.front());
}

void Requests::handle(SubmitBatchRequest request) {
  const auto& answer = request.answer;
  SubmitTasks event;
  event.submitter = std::move(request.submitter);
  event.batch = std::move(request.batch);
  event.tasks = std::move(request.tasks);
  if (auto may = allowed(event); !may) return answer(may.error());
  const auto before = earlier(event.submitter, key_of(event));
  if (!before) return answer(before.error());
  if (!before->none()) {
    const auto same = repeat(event, before->use());
    return same ? answer(same_batch(*before->batch)) : answer(same.error());
  }
  if (auto room = room_for_tasks(); !room) return answer(room.error());
  event.request = expect([answer](const Result<Accepted>& accepted) {
    if (!accepted) return answer(accepted.error());
    answer(BatchAcceptance{*accepted->batch, accepted->ids});
  });
  engine_.step(std::move(event));
}

void Requests::handle(const CancelRequest& request) {
  engine_.step(CancelTask{expect([this, id = request.id, answer = request.answer](const Result<Accepted>& done) {
                            answer_cancel(id, done, answer);
                          }),
                          request.id});
}

// A task that is not in the core may have ended long ago: the store has its outcome.
void Requests::answer_cancel(const TaskId& id, const Result<Accepted>& done, const Answer<TaskState>& answer) {
  const State& state = engine_.state();
  const auto task = state.tasks.find(id);
  if (done && task != state.tasks.end()) return answer(task->second.record.state);
  if (done) return answer(Error{"the task has just ended", ErrorKind::conflict});
  if (done.error().kind != ErrorKind::not_found) return answer(done.error());
  const auto record = store_.reads().task(id);
  if (!record) return answer(record.error());
  if (!*record) return answer(done.error());
  answer(already_ended(id, (*record)->state));
}

void Requests::retry_one(const std::string& submitter, const TaskId& id, const Answer<TaskState>& answer) {
  auto record = store_.reads().task(id);
  if (!record) return answer(record.error());
  if (!*record) return answer(not_known(id));
  if (auto may = may_submit_ ? may_submit_(submitter, (*record)->spec) : success(); !may) return answer(may.error());
  engine_.step(RetryTask{expect([answer](const Result<Accepted>& done) {
                           if (!done) return answer(done.error());
                           answer(TaskState::queued);
                         }),
                         std::move(**record)});
}

void Requests::handle(const RetryRequest& request) { retry_one(request.submitter, request.id, request.answer); }

// Answered after the last task, when all are durable.
void Requests::handle(const RetryManyRequest& request) {
  struct Sum {
    Retried result;
    std::size_t missing = 0;
  };
  const auto sum = std::make_shared<Sum>();
  sum->missing = request.ids.size();
  if (request.ids.empty()) return request.answer(Retried{});
  for (const TaskId& id : request.ids) {
    retry_one(request.submitter, id, [sum, id, answer = request.answer](const Result<TaskState>& queued) {
      if (queued) {
        ++sum->result.tasks;
      } else {
        sum->result.refused.emplace_back(id, queued.error());
      }
      if (--sum->missing == 0) answer(std::move(sum->result));
    });
  }
}

void Requests::handle(const DrainRequest& request) {
  const auto reply = [this, name = request.agent, answer = request.answer](const Result<Accepted>& done) {
    if (!done) return answer(done.error());
    const Agent* agent = agent_by_name(engine_.state(), name);
    if (agent == nullptr) return answer(Error{"agent " + name.str() + " has just been forgotten", ErrorKind::conflict});
    answer(Drained{ordered_state(*agent), agent->drained, agent->attempts.size()});
  };
  engine_.step(DrainAgent{expect(reply), request.agent, request.drain});
}

// Read before the order is given: a report that was on its way is not taken for the one of this order.
void Requests::handle(const ReloadRequest& request) {
  Reloading now;
  if (const Agent* agent = agent_by_name(engine_.state(), request.agent)) {
    now = {ordered_state(*agent), agent->session,
           agent->info && agent->info->config ? agent->info->config->reloads : 0};
  }
  const auto reply = [now, answer = request.answer](const Result<Accepted>& done) {
    done ? answer(now) : answer(done.error());
  };
  engine_.step(ReloadAgent{expect(reply), request.agent});
}

void Requests::handle(const RemoveRequest& request) {
  engine_.step(RemoveAgent{expect([name = request.agent, answer = request.answer](const Result<Accepted>& done) {
                             if (!done) return answer(done.error());
                             answer(name);
                           }),
                           request.agent});
}

void Requests::handle(const ReleaseRequest& request) {
  const std::size_t held = engine_.state().on_hold.size();
  engine_.step(ReleaseHeld{expect([held, answer = request.answer](const Result<Accepted>& done) {
    if (!done) return answer(done.error());
    if (held > 0) log::info(std::to_string(held) + " tasks that were held after a restore have been released");
    answer(held);
  })});
}

}  // namespace edgefleet::coordinator
