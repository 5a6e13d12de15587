#include "coordinator/core/drain.hpp"

#include <algorithm>
#include <ranges>
#include <stdexcept>

#include "common/core/overloaded.hpp"

namespace edgefleet::coordinator {
namespace {

std::optional<Duration> remaining(const std::optional<Time>& at, Time now) {
  if (!at) return std::nullopt;
  return std::max(Duration{0}, *at - now);
}

TaskChanged change_of(const Task& task) {
  const auto now = durable_state(task.record);
  TaskChanged change{task.record.id, std::nullopt, now.state, now.attempt, {}};
  if (task.durable) change.from = task.durable->state;
  if (!task.record.attempts.empty()) change.agent = task.record.attempts.back().agent;
  return change;
}

bool changed(const Task& task) {
  const auto now = durable_state(task.record);
  return !task.durable || task.durable->state != now.state || task.durable->attempt != now.attempt;
}

}  // namespace

const std::string& key_of(const SubmitTasks& submit) {
  static const std::string none;
  if (submit.batch) return submit.batch->idempotency_key;
  return submit.tasks.size() == 1 ? submit.tasks.front().idempotency_key : none;
}

Result<Accepted> repeat(const SubmitTasks& submit, const KeyUse& earlier) {
  const std::string what = earlier.batch ? "batch " + earlier.batch->str() : "task " + earlier.tasks.front().str();
  const auto conflict = [&](const std::string& rest) {
    return Error{"the idempotency key was used for " + what + rest, ErrorKind::conflict};
  };
  if (submit.batch.has_value() != earlier.batch.has_value()) return conflict("");
  const bool same =
      submit.batch ? submit.batch->fingerprint == earlier.fingerprint : submit.tasks.front().spec == *earlier.spec;
  if (!same) return conflict(", which is different");
  return Accepted{submit.request, earlier.tasks, earlier.batch};
}

TaskWrite write_of(const Task& task, Time now, bool created) {
  return {&task.record, remaining(task.due, now), remaining(task.expires, now), created};
}

// ---- collecting

Drain::Immediates Drain::step(const Event& event, Now now) {
  if (closed_) throw std::logic_error("an event was stepped while the drain was closed");
  const auto* submit = std::get_if<SubmitTasks>(&event);
  if (submit != nullptr && answer_by_key(*submit)) return {};
  Immediates immediates;
  auto effects = coordinator::step(state_, event, now);
  if (submit != nullptr) remember_key(*submit, effects);
  for (auto& effect : effects) sort(effect, immediates);
  return immediates;
}

Drain::Immediates Drain::place(Now now) {
  Immediates immediates;
  if (const auto due = next_deadline(state_); due && *due <= now.mono) immediates = step(Tick{}, now);
  std::ranges::move(step(Place{}, now), std::back_inserter(immediates));
  return immediates;
}

const Accepted* Drain::accepted(RequestId request) const {
  for (const Deferred& effect : std::views::reverse(effects_)) {
    const auto* found = std::get_if<Accepted>(&effect);
    if (found != nullptr && found->request == request) return found;
  }
  return nullptr;
}

bool Drain::answer_by_key(const SubmitTasks& submit) {
  const auto earlier = keys_.find({submit.submitter, key_of(submit)});
  if (earlier == keys_.end()) return false;
  KeyUse use = earlier->second;
  if (!use.batch) use.spec = &state_.tasks.at(use.tasks.front()).record.spec;
  if (auto same = repeat(submit, use)) {
    effects_.emplace_back(std::move(*same));
  } else {
    effects_.emplace_back(Rejected{submit.request, same.error()});
  }
  return true;
}

void Drain::remember_key(const SubmitTasks& submit, const Effects& effects) {
  const std::string& key = key_of(submit);
  if (key.empty()) return;
  for (const Effect& effect : effects) {
    const auto* accepted = std::get_if<Accepted>(&effect);
    if (accepted == nullptr) continue;
    keys_[{submit.submitter, key}] = {accepted->ids, nullptr, accepted->batch,
                                      submit.batch ? submit.batch->fingerprint : std::string()};
  }
}

void Drain::sort(Effect& effect, Immediates& immediates) {
  std::visit(overloaded{
      [&](const SaveTask& save) {
        Touched& touched = touched_[save.id];
        touched.created |= save.created;
        touched.revived |= save.revived;
      },
      [&](SaveBatch& save) { writes_.batches.push_back(std::move(save.record)); },
      [&](const SaveAgent& save) { writes_.drained.emplace_back(save.agent, save.drained); },
      [&](const SaveReign& save) { writes_.reign = save.reign; },
      [&](const SaveReleased&) { writes_.released = true; },
      [&](SaveTokens& save) { counted_.emplace(std::move(save.client), save.day); },
      [&](const BatchEnded& end) { ended_batches_.push_back(end.id); },
      [&](const AgentChanged& change) { change_agent(change); },
      [&](const TemperatureChanged& change) { temperatures_.insert(change.agent); },
      [&](const LoadedModelsChanged& change) { loaded_models_.insert(change.agent); },
      [&](const OffersChanged& change) { offers_.insert(change.agent); },
      [&](const ParametersLearned& change) { learned_.insert(change.digest); },
      [&]<typename E>(E& now)
        requires is_alternative_of<E, Immediate>
                 { immediates.emplace_back(std::move(now)); },
                 [&]<typename E>(E& later)
                   requires is_alternative_of<E, Deferred>
      { effects_.emplace_back(std::move(later)); },
      },
      effect);
}

void Drain::change_agent(const AgentChanged& change) {
  const auto [entry, added] = agents_.try_emplace(change.agent, change);
  if (!added) entry->second.to = change.to;
}

// ---- the commit

const Writes& Drain::close(Time now, Duration clock) {
  if (closed_) throw std::logic_error("a closed drain was closed again");
  closed_ = true;
  writes_.clock = clock;
  writes_.tasks.reserve(touched_.size());
  for (const auto& [id, touched] : touched_) {
    writes_.tasks.push_back(write_of(state_.tasks.at(id), now, touched.created));
    if (touched.revived) ++writes_.revived;
  }
  std::ranges::sort(writes_.tasks, {}, [](const TaskWrite& write) { return write.record->id; });
  for (const auto& [client, day] : counted_) writes_.tokens.push_back({client, day, state_.budgets.used(client, day)});
  return writes_;
}

void Drain::reopen() {
  closed_ = false;
  writes_.tasks.clear();
  writes_.tokens.clear();
  writes_.revived = 0;
}

namespace {

std::vector<Deferred> tasks_first(std::vector<Deferred> effects) {
  std::vector<Deferred> sorted;
  sorted.reserve(effects.size());
  for (const bool tasks : {true, false}) {
    for (Deferred& effect : effects) {
      if (std::holds_alternative<SendTasks>(effect) == tasks) sorted.push_back(std::move(effect));
    }
  }
  return sorted;
}

}  // namespace

Drain::AfterCommit Drain::take(std::vector<TaskId>& ended_tasks) {
  AfterCommit after{tasks_first(std::exchange(effects_, {})), {}};
  add_changes(after.changes);
  for (const TaskWrite& write : writes_.tasks) {
    if (ended(write.record->state)) ended_tasks.push_back(write.record->id);
  }
  touched_.clear();
  counted_.clear();
  writes_ = {};
  keys_.clear();
  closed_ = false;
  return after;
}

void Drain::add_changes(Changes& changes) {
  for (const TaskWrite& write : writes_.tasks) {
    Task& task = state_.tasks.at(write.record->id);
    if (changed(task)) changes.emplace_back(change_of(task));
    task.durable = durable_state(task.record);
  }
  for (const BatchId& batch : std::exchange(ended_batches_, {})) {
    if (state_.batch_rest.count(batch) == 0)
      changes.emplace_back(BatchEnded{batch});  // otherwise one of its tasks is retried
  }
  for (auto& [name, change] : std::exchange(agents_, {})) {
    if (change.from != change.to) changes.emplace_back(change);
  }
  for (const AgentName& name : std::exchange(temperatures_, {})) changes.emplace_back(TemperatureChanged{name});
  for (const AgentName& name : std::exchange(loaded_models_, {})) changes.emplace_back(LoadedModelsChanged{name});
  for (const AgentName& name : std::exchange(offers_, {})) changes.emplace_back(OffersChanged{name});
  for (const std::string& digest : std::exchange(learned_, {})) changes.emplace_back(ParametersLearned{digest});
}

void Drain::forget(std::vector<TaskId> ended, Now now) {
  if (!ended.empty()) coordinator::step(state_, Committed{std::move(ended)}, now);
}

}  // namespace edgefleet::coordinator
