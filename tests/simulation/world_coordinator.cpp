// The coordinator of the simulated world: its core, its store, its restarts.
#include <algorithm>

#include "common/core/overloaded.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/core/submitter.hpp"
#include "coordinator/core/tasks.hpp"
#include "tests/simulation/world.hpp"

namespace edgefleet::simulation {

using namespace std::chrono_literals;
namespace {
constexpr double many_events = 5;  // the commit of several events fails more often by this factor
}

void World::start_coordinator() {
  ++coordinator_life_;
  ++epoch_;
  const auto session = *SessionId::parse("c" + std::to_string(coordinator_life_));
  coordinator_ = std::make_unique<coordinator::State>(Reign{epoch_, session}, random_());
  drain_ = std::make_unique<coordinator::Drain>(*coordinator_);
  std::vector<coordinator::TaskRecord> unfinished;
  for (const auto& [id, record] : store_) {
    if (!ended(record.state)) unfinished.push_back(record);
  }
  if (!unfinished.empty() && chance(hazards_.restore)) {
    ++totals_.restores;
    for (const auto& record : unfinished) held_.insert(record.id);
    release_at_ = time_ + some(1s, 30s);
  }
  waiting_.clear();
  passed_.clear();
  coordinator_->on_hold.insert(held_.begin(), held_.end());
  for (const AgentName& name : drained_) coordinator::recover_drained(*coordinator_, name);
  coordinator::recover(*coordinator_, std::move(unfinished), now());
  to_coordinator(coordinator::BrokerUp{});
  // The broker's retained messages.
  for (auto& a : agents_) {
    if (!a.core || !a.linked) continue;
    to_coordinator(coordinator::AgentStatusSeen{a.name, {agent::status_of(*a.core), a.core->session}});
  }
  drain_coordinator();
}

void World::crash_coordinator() {
  ++totals_.coordinator_crashes;
  drain_.reset();  // it was not durable, so nothing of it has been published
  coordinator_.reset();
  failing_until_.reset();
  backlog_.clear();
  asked_.clear();
  operations_.clear();
  events_ = 0;
  coordinator_back_at_ = time_ + some(1s, 40s);
}

void World::to_coordinator(const coordinator::Event& event) {
  if (!coordinator_) return;
  if (failing_until_) return backlog_.push_back(event);
  ++events_;
  heed(drain_->step(event, now()));
}

void World::heed(const coordinator::Drain::Immediates& immediates) {
  for (const auto& immediate : immediates) {
    std::visit(overloaded{
                   [](const coordinator::Note&) {},
                   [&](const coordinator::StopProgram& stop) { violation("stopped: " + stop.reason); },
               },
               immediate);
  }
}

void World::drain_coordinator() {
  if (!coordinator_ || failing_until_) return;
  heed(drain_->place(now()));
  if (random_() % 16 == 0) check_idle_slots();
  if (random_() % 64 == 0) check_bytes();
  // There are as many drains as messages, so the probability for each one is lower in a large fleet.
  const double share = 0.4 / static_cast<double>(std::max<std::size_t>(4, agents_.size()));
  if (chance(hazards_.coordinator_crash * share)) return crash_coordinator();  // just before the commit
  writes_ = &drain_->close(time_, time_.time_since_epoch());
  if (chance(hazards_.failing_commits * share * (events_ > 1 ? many_events : 1))) return fail_commits();
  commit();
}

// No task waits while an agent that may take it has a free slot: what a lost agent held is placed as fast as free slots
// allow. Suspects wait for an agent of their own, and tasks with a model wait for a while for an agent that has it
// loaded.
void World::check_idle_slots() {
  for (const auto& [id, task] : coordinator_->tasks) {
    const auto& record = task.record;
    if (record.state != TaskState::queued || coordinator::suspect(record) || time_ < task.patient_until) continue;
    if (coordinator_->on_hold.count(id) > 0 || !coordinator_->connected) continue;
    if (task.queued_in && coordinator_->placement.put_off(*task.queued_in)) continue;
    ++totals_.looks_for_idle_slots;
    if (coordinator::explain(*coordinator_, record.spec.capability, record.spec.where).free) {
      violation("waits although a slot is free: " + describe(id));
    }
    return;
  }
}

// What the bound on memory counts is what the unfinished tasks weigh, however they came to be what they are.
void World::check_bytes() {
  std::size_t bytes = 0;
  std::map<std::string, std::pair<std::size_t, std::size_t>, std::less<>> by_client;
  for (const auto& [id, task] : coordinator_->tasks) {
    if (ended(task.record.state)) continue;
    const std::size_t weight = coordinator::weight(task.record);
    bytes += weight;
    auto& [sum, tasks] = by_client[std::string(coordinator::client_of(task.record.submitter))];
    sum += weight;
    ++tasks;
  }
  for (const char* client : clients) {
    const auto cost = coordinator_->clients.cost(client);
    if (cost.bytes != by_client[client].first || cost.tasks != by_client[client].second) {
      violation("counts other bytes or tasks of " + std::string(client));
    }
  }
  if (bytes != coordinator_->bytes) {
    violation("counts " + std::to_string(coordinator_->bytes) + " bytes of " + std::to_string(bytes));
  }
}

// Nobody starves: while a client waits with a task that every agent can run, each other one gets at most one task, and
// one more at each agent that has read the beginning of a conversation of it.
void World::check_shares(const coordinator::Writes& writes) {
  const auto before = waiting_;
  for (const auto& write : writes.tasks) {
    const auto& record = *write.record;
    const bool waits = record.state == TaskState::queued && record.spec.where.empty() &&
                       !coordinator::suspect(record) && held_.count(record.id) == 0;
    auto& waiting = waiting_[std::string(coordinator::client_of(record.submitter))];
    waits ? static_cast<void>(waiting.insert(record.id)) : static_cast<void>(waiting.erase(record.id));
  }
  const int most = 2 + static_cast<int>(agents_.size()) + 1;  // and the hostile one
  for (const auto& [client, waited] : before) {
    const bool still = std::ranges::any_of(waited, [&](const TaskId& id) { return waiting_[client].contains(id); });
    if (!still || served_.count(client) > 0) {
      passed_.erase(client);
      continue;
    }
    for (const auto& [other, times] : served_) {
      totals_.passes += static_cast<std::uint64_t>(times);
      if ((passed_[client][other] += times) > most) violation(client + " starves beside " + other);
    }
  }
}

void World::commit() {
  keep(*writes_);
  const double share = 0.4 / static_cast<double>(std::max<std::size_t>(4, agents_.size()));
  if (chance(hazards_.coordinator_crash * share)) return crash_coordinator();  // just after it
  events_ = 0;
  drain_->committed(now(), [this](const coordinator::Drain::AfterCommit& after) { tell(after); });
}

void World::keep(const coordinator::Writes& writes) {
  before_.clear();
  served_.clear();
  for (const auto& write : writes.tasks) keep(write);
  check_shares(writes);
  for (const auto& batch : writes.batches) {
    batches_[batch.id] = batch;
    const bool fresh = batch.idempotency_key.empty() || batch_keys_.emplace(batch.idempotency_key, batch).second;
    if (!fresh) violation("two batches of the key " + batch.idempotency_key);
  }
  for (const auto& [agent, drained] : writes.drained) {
    if (drained) {
      drained_.insert(agent);
    } else {
      drained_.erase(agent);
    }
  }
  if (writes.released) held_.clear();
  if (writes.reign) epoch_ = writes.reign->epoch;
}

void World::keep(const coordinator::TaskWrite& write) {
  const TaskId& id = write.record->id;
  const auto old = store_.find(id);
  if ((old == store_.end()) != write.created) violation("the spec was written twice or never: " + id.str());
  before_[id] = old == store_.end() ? std::nullopt : std::optional(old->second.state);
  const auto& record = store_[id] = coordinator::kept(write);
  for (const auto& attempt : record.attempts) {
    const auto [known, fresh] = attempts_.try_emplace({id, attempt.n}, SeenAttempt{coordinator_life_, time_, {}});
    if (fresh) ++served_[std::string(coordinator::client_of(record.submitter))];
    SeenAttempt& seen = known->second;
    if (ended(attempt.state) && !seen.ended) seen.ended = time_;
  }
  if (const std::string& key = record.idempotency_key; write.created && !key.empty()) {
    if (!task_keys_.emplace(key, id).second) violation("two tasks of the key " + key);
  }
  if (ended(record.state)) held_.erase(id);
  const auto known = accepted_.find(id);
  if (known != accepted_.end() && record.state == TaskState::expired && known->second.runs > 0 &&
      record.attempts.empty()) {
    violation("expired although it ran: " + describe(id));
  }
}

void World::tell(const coordinator::Drain::AfterCommit& after) {
  for (const auto& effect : after.effects) perform(effect);
  for (const auto& change : after.changes) check(change);
}

void World::check(const coordinator::Change& change) {
  using namespace coordinator;
  std::visit(overloaded{
                 [&](const TaskChanged& task) {
                   if (before_.at(task.id) != task.from) violation("a change from another state: " + task.id.str());
                   if (store_.at(task.id).state != task.to) violation("a change to another state: " + task.id.str());
                   if (!ended(task.to)) return;
                   if (++accepted_[task.id].outcomes > 1) violation("two outcomes of " + task.id.str());
                 },
                 [&](const BatchEnded& end) {
                   const BatchRecord& batch = batches_.at(end.id);
                   const auto last = store_.upper_bound(batch.last);
                   std::size_t outcomes = 0;
                   for (auto task = store_.lower_bound(batch.first); task != last; ++task) {
                     if (task->second.batch == batch.id && ended(task->second.state)) ++outcomes;
                   }
                   if (outcomes != batch.total) violation("a batch has ended before its tasks: " + batch.id.str());
                 },
                 [&](const AgentChanged& agent) {
                   if (agent.from == agent.to) violation("no change of " + agent.agent.str());
                 },
                 [](const TemperatureChanged&) {},
                 [](const LoadedModelsChanged&) {},
                 [](const OffersChanged&) {},
                 [](const ParametersLearned&) {},
             },
             change);
}

// Until it is durable, nothing later is stepped, published or answered.
void World::fail_commits() {
  ++totals_.failed_commits;
  failing_until_ = time_ + some(1s, 30s);
}

void World::try_commit_again() {
  failing_until_.reset();
  if (events_ > 1 && chance(hazards_.cut_retry)) {
    ++totals_.cut_retries;
    if (random_() % 2 == 0) {
      ++totals_.kept_before_cut;
      keep(*writes_);
    }
    return crash_coordinator();
  }
  commit();
  if (!coordinator_) return;
  const auto events = std::exchange(backlog_, {});
  to_coordinator(coordinator::Stalled{});
  for (const auto& event : events) to_coordinator(event);
}

void World::tick_coordinator() {
  if (coordinator_ && chance(hazards_.coordinator_crash * 0.1)) crash_coordinator();
  if (!coordinator_ && time_ >= coordinator_back_at_) start_coordinator();
  if (coordinator_ && failing_until_ && (calm_ || *failing_until_ <= time_)) try_commit_again();
  drain_coordinator();
}

void World::reach(const AgentName& name, agent::Event event) {
  const auto known = by_name_.find(name);
  if (known == by_name_.end()) return;  // the hostile peer
  Agent& a = agents_[known->second];
  post([this, &a, life = a.life, event = std::move(event)] {
    if (a.life == life && a.linked) to_agent(a, event);
  });
}

void World::announce(Agent& a) {
  post(
      [this, &a, life = a.life, reign = coordinator_->reign] {
        if (a.life == life && a.linked) to_agent(a, agent::CoordinatorSeen{true, reign});
      },
      true);
}

// A task that is new to an agent may be sent only if its client still needs it.
void World::check_sending(const coordinator::SendTasks& send) {
  const auto& to = coordinator_->agents.at(coordinator_->agent_index.at(send.agent));
  for (const auto& key : send.tasks) {
    const bool again = !sent_.insert(key).second || attempts_.at(key).life != coordinator_life_;
    if (again) continue;  // the agent already had it, and reports its own state
    if (drained_.count(send.agent) > 0) violation(key.id.str() + " was given to a drained agent");
    if (held_.count(key.id) > 0) violation(key.id.str() + " was placed although it is held");
    if (to.status.state != AgentState::online) {
      violation(key.id.str() + " was given to " + send.agent.str() + ", which is " +
                std::string(to_string(to.status.state)));
    }
    // A task that may have killed an agent must run alone, and not on that agent.
    const bool suspicious = coordinator::suspect(coordinator_->tasks.at(key.id).record);
    if (suspicious && to.attempts.size() > 1) violation("a suspect was placed beside other tasks: " + key.id.str());
    if (!suspicious && to.alone) violation("a task was placed beside a suspect: " + key.id.str());
  }
}

void World::perform(const coordinator::Deferred& effect) {
  using namespace coordinator;
  const Reign reign = coordinator_->reign;
  const auto acknowledge = [&](const AgentName& to, const std::vector<AttemptKey>& keys, bool unknown) {
    agent::AcknowledgeSeen seen{reign, {}};
    for (const auto& key : keys) seen.results.push_back({key, unknown});
    reach(to, seen);
  };
  std::visit(overloaded{
                 [&](const SendTasks& send) {
                   check_sending(send);
                   agent::TasksSeen seen{reign, send.n, send.capability, {}};
                   for (const auto& key : send.tasks) {
                     const auto& task = coordinator_->tasks.at(key.id);
                     const auto& spec = task.record.spec;
                     agent::GivenTask given{key.id, key.attempt, spec.input, spec.timeout};
                     given.executor = executor_of(*coordinator_, task, key.attempt);
                     seen.tasks.push_back(std::move(given));
                   }
                   reach(send.agent, seen);
                 },
                 [&](const SendAcknowledge& send) { acknowledge(send.agent, send.tasks, send.unknown); },
                 [&](const SendCancel& send) { reach(send.agent, agent::CancelSeen{reign, send.tasks}); },
                 [&](const SendRecall& send) { reach(send.agent, agent::RecallSeen{reign, send.tasks}); },
                 [&](const SendDrain& send) { reach(send.agent, agent::DrainSeen{reign, send.drain}); },
                 [&](const SendReload& send) { reach(send.agent, agent::ReloadSeen{reign}); },
                 [&](const AskStore& ask) {
                   for (const auto& key : ask.tasks) {
                     if (store_.count(key.id) == 0) violation("unknown result of " + key.id.str());
                   }
                   acknowledge(ask.agent, ask.tasks, false);
                 },
                 [&](const SendIntroduce& send) { reach(send.agent, agent::IntroduceSeen{reign}); },
                 [&](const SendDescribe& send) { violation(send.agent.str() + " names no parameters"); },
                 [&](const ForgetAgent& forget) { violation(forget.agent.str() + " was forgotten"); },
                 [&](const AnnounceReign&) {
                   for (auto& a : agents_) announce(a);
                 },
                 [&](const coordinator::Accepted& answer) { accepted(answer); },
                 [&](const Rejected& answer) { rejected(answer); },
                 [&](const Done& answer) { operations_.erase(answer.request); },
             },
             effect);
}

}  // namespace edgefleet::simulation
