// What people ask of the loop: submit, cancel, retry, drain, look.
#include <ranges>

#include "coordinator/core/explain.hpp"
#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t small_fleet = 100;
constexpr std::size_t most_explained = 1000;
constexpr Duration explained_for = std::chrono::milliseconds(500);

}  // namespace

// As it is now; `ended`: what the store says of one that is no longer here.
Acceptance Loop::acceptance_of(const TaskId& id, TaskState ended) {
  const auto found = state_.tasks.find(id);
  if (found == state_.tasks.end()) return {id, ended, 0, 0, {}};
  const Task& task = found->second;
  const Explanation& why = explained({task.record.spec.capability, task.record.spec.where});
  return {id, task.record.state, ahead(state_, task), why.eligible, explain_task(state_, task, monotonic_now(), why)};
}

// Explaining looks at every agent that offers the capability: in a large fleet the answer may be half a second old.
const Explanation& Loop::explained(const ClassKey& key) {
  const Time mono = monotonic_now();
  if (explained_.size() >= most_explained) explained_.clear();
  auto& [at, why] = explained_[key];
  const bool small = state_.placement.offering(key.capability).size() <= small_fleet;
  if (small || at == Time{} || at + explained_for < mono) {
    why = explain(state_, key.capability, key.where);
    at = mono;
  }
  return why;
}

void Loop::handle(Submit& submit) {
  if (!submit.task.idempotency_key.empty()) {
    const auto key = submit.submitter + '\n' + submit.task.idempotency_key;
    if (keys_in_drain_.count(key) > 0) commit();  // so that the store can say what it was
    auto earlier = store_.reads().task_by_key(submit.submitter, submit.task.idempotency_key);
    if (!earlier) return submit.answer(earlier.error());
    if (const auto& record = *earlier) {
      if (record->spec == submit.task.spec) return submit.answer(acceptance_of(record->id, record->state));
      return submit.answer(Error{"the idempotency key was used for task " + record->id.str() + ", which is another one",
                                 ErrorKind::conflict});
    }
    const auto batch = store_.reads().batch_by_key(submit.submitter, submit.task.idempotency_key);
    if (!batch) return submit.answer(batch.error());
    if (*batch) {
      return submit.answer(Error{"the idempotency key was used for batch " + (*batch)->id.str(), ErrorKind::conflict});
    }
    keys_in_drain_[key] = 1;
  }
  SubmitTasks event;
  event.submitter = std::move(submit.submitter);
  event.tasks.push_back(std::move(submit.task));
  event.request = expect([this, answer = std::move(submit.answer)](Result<std::vector<TaskId>> ids) {
    if (!ids) return answer(ids.error());
    answer(acceptance_of(ids->front(), TaskState::queued));
  });
  const std::size_t before = after_commit_.size();
  step(std::move(event));
  for (std::size_t i = before; submit.made && i < after_commit_.size(); ++i) {
    if (const auto* accepted = std::get_if<Accepted>(&after_commit_[i])) submit.made(accepted->ids.front());
  }
}

void Loop::handle(SubmitBatch& submit) {
  if (!submit.idempotency_key.empty()) {
    const auto key = submit.submitter + '\n' + submit.idempotency_key;
    if (keys_in_drain_.count(key) > 0) commit();
    auto earlier = store_.reads().batch_by_key(submit.submitter, submit.idempotency_key);
    if (!earlier) return submit.answer(earlier.error());
    if (const auto& batch = *earlier) {
      if (batch->fingerprint != submit.fingerprint) {
        return submit.answer(
            Error{"the idempotency key was used for batch " + batch->id.str() + ", which is another one",
                  ErrorKind::conflict});
      }
      TaskQuery query;
      query.batch = batch->id;
      query.limit = limits::batch_tasks;
      auto tasks = store_.reads().tasks(query);
      if (!tasks) return submit.answer(tasks.error());
      BatchAcceptance same{batch->id, {}};
      for (const TaskRecord& task : std::views::reverse(*tasks)) same.tasks.push_back(task.id);
      return submit.answer(std::move(same));
    }
    const auto task = store_.reads().task_by_key(submit.submitter, submit.idempotency_key);
    if (!task) return submit.answer(task.error());
    if (*task) {
      return submit.answer(Error{"the idempotency key was used for task " + (*task)->id.str(), ErrorKind::conflict});
    }
    keys_in_drain_[key] = 1;
  }
  const BatchId id{state_.ids.next(wall_now())};
  const std::size_t total = submit.tasks.size();
  const std::string submitter = submit.submitter;
  SubmitTasks event;
  event.submitter = submit.submitter;
  event.batch = id;
  event.tasks = std::move(submit.tasks);
  event.request = expect([id, answer = std::move(submit.answer)](Result<std::vector<TaskId>> ids) {
    if (!ids) return answer(ids.error());
    answer(BatchAcceptance{id, std::move(*ids)});
  });
  const std::size_t before = after_commit_.size();
  step(std::move(event));
  for (std::size_t i = before; i < after_commit_.size(); ++i) {
    const auto* accepted = std::get_if<Accepted>(&after_commit_[i]);
    if (accepted == nullptr) continue;
    batch_rest_[id] = total;
    writes_.batches.push_back(BatchRecord{id, submitter, submit.idempotency_key, submit.fingerprint,
                                          accepted->ids.front(), accepted->ids.back(), total});
  }
}

void Loop::handle(Cancel& cancel) {
  const auto id = cancel.id;
  step(CancelTask{expect([this, id, answer = cancel.answer](Result<std::vector<TaskId>> done) {
                    if (const auto task = state_.tasks.find(id); done && task != state_.tasks.end()) {
                      return answer(task->second.record.state);
                    }
                    if (done.ok() || done.error().kind != ErrorKind::not_found) {
                      return answer(done.ok() ? Error{"the task has just ended", ErrorKind::conflict} : done.error());
                    }
                    auto record = store_.reads().task(id);
                    if (!record) return answer(record.error());
                    if (!*record) return answer(done.error());
                    answer(Error{"task " + id.str() + " has already " + std::string(to_string((*record)->state)),
                                 ErrorKind::conflict});
                  }),
                  id});
}

void Loop::retry_one(const TaskId& id, const Answer<TaskState>& answer) {
  auto record = store_.reads().task(id);
  if (!record) return answer(record.error());
  if (!*record) return answer(Error{"task " + id.str() + " is not known", ErrorKind::not_found});
  const auto batch = (*record)->batch;
  step(RetryTask{expect([this, batch, answer](Result<std::vector<TaskId>> done) {
                   if (!done) return answer(done.error());
                   if (batch) ++batch_rest_[*batch];
                   answer(TaskState::queued);
                 }),
                 std::move(**record)});
}

void Loop::handle(Retry& retry) { retry_one(retry.id, retry.answer); }

// Answered with the last of them, when all are durable.
void Loop::handle(RetryMany& retry) {
  struct Sum {
    Retried result;
    std::size_t missing = 0;
  };
  const auto sum = std::make_shared<Sum>();
  sum->missing = retry.ids.size();
  if (retry.ids.empty()) return retry.answer(Retried{});
  for (const TaskId& id : retry.ids) {
    retry_one(id, [sum, id, answer = retry.answer](Result<TaskState> queued) {
      if (queued) {
        ++sum->result.tasks;
      } else {
        sum->result.refused.emplace_back(id, queued.error());
      }
      if (--sum->missing == 0) answer(std::move(sum->result));
    });
  }
}

void Loop::handle(Drain& drain) {
  step(DrainAgent{expect([this, name = drain.agent, answer = drain.answer](Result<std::vector<TaskId>> done) {
                    if (!done) return answer(done.error());
                    answer(state_.agents.at(state_.agent_index.at(name)).status.state);
                  }),
                  drain.agent, drain.drain});
}

void Loop::handle(Release& release) {
  const std::size_t held = state_.held.size();
  step(ReleaseHeld{expect([held, answer = release.answer](Result<std::vector<TaskId>> done) {
    if (!done) return answer(done.error());
    if (held > 0) log::info(std::to_string(held) + " tasks that were held after a restore are released");
    answer(held);
  })});
}

void Loop::handle(const Look& look) { look.with(state_, now()); }

}  // namespace edgefleet::coordinator
