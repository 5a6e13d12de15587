// The users of the simulated fleet: clients submit, repeat requests and cancel; an operator drains agents and releases
// the tasks held after a restore.
#include <algorithm>

#include "tests/simulation/world.hpp"

namespace edgefleet::simulation {
namespace {

using namespace std::chrono_literals;
const Capability work = *Capability::parse("work");
constexpr int attempts_of_innocents = 3;
constexpr double seconds_between_looks = 5;  // of the operator
constexpr std::size_t most_old_keys = 50;

}  // namespace

// ---- submit

coordinator::SubmitTasks::One World::some_task() {
  coordinator::SubmitTasks::One one;
  one.spec.capability = work;
  one.spec.timeout = 10min;
  const auto kind = random_() % 20;
  one.spec.max_attempts = kind < 2 ? 1 : attempts_of_innocents;
  one.spec.priority = static_cast<int>(random_() % 3);
  if (kind == 2) one.spec.delay = some(1s, 60s);
  if (kind == 3) one.spec.expires_after = some(1s, 60s);
  if (chance(hazards_.poison)) {
    one.spec.name = "poison";
    one.spec.max_attempts = 3;
  }
  if (random_() % 4 == 0) one.spec.where["model"] = "m" + std::to_string(random_() % models);
  if (random_() % 8 == 0) {  // a turn of one of a few conversations
    const auto talk = 1'000 * (1 + random_() % 5);
    for (std::uint64_t turn = 0; turn <= random_() % 4; ++turn) one.beginnings.push_back(talk + turn);
  }
  return one;
}

std::string World::some_submitter() {
  std::string client = clients.at(random_() % clients.size());
  return random_() % 8 == 0 && client != "http" ? "present:" + client : client;
}

// A third of them as one batch with a key, the others alone, some of those with a key; all of them in one drain.
void World::submit(int count) {
  repeat_unanswered();
  coordinator::SubmitTasks batch;
  batch.batch.emplace();
  batch.submitter = some_submitter();
  for (int i = 0; i < count; ++i) {
    auto task = some_task();
    if (i % 3 == 0) {
      batch.tasks.push_back(std::move(task));
    } else {
      submit_alone(std::move(task));
    }
  }
  if (!batch.tasks.empty()) submit_with_key(std::move(batch));
  drain_coordinator();
}

void World::submit_alone(coordinator::SubmitTasks::One task) {
  coordinator::SubmitTasks event;
  event.submitter = some_submitter();
  event.tasks.push_back(std::move(task));
  if (random_() % 4 == 0) return submit_with_key(std::move(event));
  send("once-" + std::to_string(++last_key_), event);
}

void World::submit_with_key(coordinator::SubmitTasks event) {
  const std::string key = "key-" + std::to_string(++last_key_);
  auto other = event;
  if (event.batch) {
    event.batch = {key, "fingerprint"};
    other.batch = {key, "another"};
  } else {
    event.tasks.front().idempotency_key = other.tasks.front().idempotency_key = key;
    other.tasks.front().spec.name = "another";
  }
  send(key, event);
  if (!coordinator_ || failing_until_ || !chance(hazards_.repeated_key)) return;
  ++totals_.keys_twice_in_drain;
  send(key, event);
  if (random_() % 4 == 0) send(key + "-another", other, true);
}

// Without a coordinator, or while its store fails, a submit is refused at once. One with a key is repeated later.
void World::send(const std::string& key, const coordinator::SubmitTasks& event, bool must_conflict) {
  const bool has_key = !coordinator::key_of(event).empty();
  const bool refused = !coordinator_ || failing_until_;
  if (refused && (!has_key || must_conflict)) return;
  asks_.try_emplace(key, Ask{event, time_, must_conflict, {}});
  if (refused) return;
  auto numbered = event;
  numbered.request = ++last_request_;
  asked_[numbered.request] = key;
  if (!answered_by_store(numbered)) to_coordinator(numbered);
}

void World::repeat_unanswered() {
  std::vector<std::string> again;
  for (auto ask = asks_.begin(); ask != asks_.end();) {
    const bool waits = std::ranges::any_of(asked_, [&](const auto& e) { return e.second == ask->first; });
    if (waits || !ask->second.answered.empty()) {
      ++ask;
    } else if (coordinator::key_of(ask->second.event).empty() || ask->second.must_conflict) {
      ask = asks_.erase(ask);  // it was lost with its coordinator
    } else {
      again.push_back((ask++)->first);
    }
  }
  for (const std::string& key : again) send(key, asks_.at(key).event);
  if (old_keys_.empty() || !coordinator_ || failing_until_) return;
  const std::string& old = old_keys_[random_() % old_keys_.size()];
  ++totals_.keys_repeated;
  send(old, asks_.at(old).event);
}

// The store is asked for a key before the step.
bool World::answered_by_store(const coordinator::SubmitTasks& event) {
  const std::string& key = coordinator::key_of(event);
  coordinator::KeyUse earlier;
  if (const auto task = task_keys_.find(key); task != task_keys_.end()) {
    earlier.tasks = {task->second};
    earlier.spec = &store_.at(task->second).spec;
  } else if (const auto batch = batch_keys_.find(key); batch != batch_keys_.end()) {
    earlier.batch = batch->second.id;
    earlier.fingerprint = batch->second.fingerprint;
    const auto last = store_.upper_bound(batch->second.last);
    for (auto member = store_.lower_bound(batch->second.first); member != last; ++member) {
      earlier.tasks.push_back(member->first);
    }
  } else {
    return false;
  }
  const auto same = coordinator::repeat(event, earlier);
  if (same) {
    accepted(*same);
  } else {
    rejected({event.request, same.error()});
  }
  return true;
}

void World::accepted(const coordinator::Accepted& answer) {
  const std::string key = asked_.at(answer.request);
  asked_.erase(answer.request);
  Ask& ask = asks_.at(key);
  if (ask.must_conflict) {
    violation("another submit was accepted with the key of " + key);
    asks_.erase(key);
    return;
  }
  if (!ask.answered.empty() && ask.answered != answer.ids) violation("two answers for the key " + key);
  const bool first = std::exchange(ask.answered, answer.ids).empty();
  if (!first) return;
  for (const TaskId& id : answer.ids) {
    auto& known = accepted_[id];
    known.as_accepted = store_.at(id);
    known.poison = known.as_accepted.spec.name == "poison";
    known.at = ask.first_at;
    recent_.push_back(id);
  }
  if (coordinator::key_of(ask.event).empty()) {
    asks_.erase(key);
    return;
  }
  old_keys_.push_back(key);
  if (old_keys_.size() <= most_old_keys) return;
  asks_.erase(old_keys_.front());
  old_keys_.erase(old_keys_.begin());
}

void World::rejected(const coordinator::Rejected& answer) {
  if (operations_.erase(answer.request) > 0) return;  // of an agent that is still unknown
  const auto asked = asked_.find(answer.request);
  if (asked == asked_.end()) return;  // a cancel that came too late
  const std::string key = asked->second;
  asked_.erase(asked);
  if (!asks_.at(key).must_conflict) violation(key + " was refused: " + answer.error.message);
  asks_.erase(key);
}

// ---- cancel

void World::cancel_some(int count) {
  if (!coordinator_ || failing_until_) return;
  std::vector<TaskId> wanted;
  for (const auto& id : recent_) {
    if (static_cast<int>(wanted.size()) < count && random_() % 4 == 0) wanted.push_back(id);
  }
  recent_.clear();
  std::vector<TaskId> in_time;  // before they were assigned
  for (const auto& id : wanted) {
    const auto task = coordinator_->tasks.find(id);
    if (task == coordinator_->tasks.end() || ended(task->second.record.state)) continue;
    if (task->second.record.attempts.empty()) in_time.push_back(id);
    to_coordinator(coordinator::CancelTask{0, id});
  }
  drain_coordinator();
  for (const auto& id : in_time) {
    // The cancel may have been lost in a crash before it was durable.
    accepted_[id].cancelled_in_time = store_.count(id) > 0 && store_.at(id).state == TaskState::cancelled;
  }
}

// ---- the operator

// Repeats an order until it has taken effect, because a message to an agent may be lost.
void World::operate() {
  if (time_ < operate_at_ || !coordinator_ || failing_until_) return;
  operate_at_ = time_ + Duration{static_cast<std::int64_t>(seconds_between_looks * 1e9)};
  drain_some();
  if (!release_at_ || (time_ < *release_at_ && !calm_)) return;
  if (held_.empty()) return release_at_.reset();
  operations_.insert(++last_request_);
  to_coordinator(coordinator::ReleaseHeld{last_request_});
}

void World::drain_some() {
  for (auto& a : agents_) {
    if (chance(hazards_.drain * seconds_between_looks)) {
      a.to_be_drained = !a.to_be_drained;
      if (a.to_be_drained) ++totals_.drains;
    } else if (a.to_be_drained && chance(0.2)) {
      a.to_be_drained = false;
    }
    const auto known = coordinator_->agent_index.find(a.name);
    const bool drains = known != coordinator_->agent_index.end() &&
                        coordinator_->agents[known->second].status.state == AgentState::draining;
    if ((drained_.count(a.name) > 0) == a.to_be_drained && drains == a.to_be_drained) continue;
    operations_.insert(++last_request_);
    to_coordinator(coordinator::DrainAgent{last_request_, a.name, a.to_be_drained});
  }
}

// ---- innocents

std::vector<TaskId> World::innocents_failed() const {
  std::vector<TaskId> all;
  for (const auto& [id, task] : accepted_) {
    const auto record = store_.find(id);
    if (record == store_.end() || record->second.state != TaskState::failed || task.poison) continue;
    if (record->second.spec.max_attempts > 1) all.push_back(id);
  }
  return all;
}

std::string World::reason_of_end(const TaskId& id, const coordinator::Attempt& attempt) const {
  if (attempt.state == AttemptState::failed) return attempt.error ? attempt.error->code : "";
  if (attempt.state != AttemptState::lost) return "";
  const SeenAttempt& seen = attempts_.at({id, attempt.n});
  const auto& away = agents_[by_name_.at(attempt.agent)].away;
  const bool was_away = std::ranges::any_of(
      away, [&](const auto& one) { return one.first <= seen.ended.value_or(time_) && one.second >= seen.assigned; });
  return was_away ? "its agent was away" : "";
}

}  // namespace edgefleet::simulation
