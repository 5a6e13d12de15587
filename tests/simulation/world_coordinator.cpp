// The coordinator's side of the simulated world: its core, its store, its lives.
#include "common/core/overloaded.hpp"
#include "tests/simulation/world.hpp"

namespace edgefleet::simulation {

using namespace std::chrono_literals;

void World::start_coordinator() {
  ++coordinator_life_;
  ++epoch_;
  const auto session = *SessionId::parse("c" + std::to_string(coordinator_life_));
  coordinator_ = std::make_unique<coordinator::State>(Reign{epoch_, session}, random_());
  drain_.emplace(*coordinator_);
  std::vector<coordinator::TaskRecord> unfinished;
  for (const auto& [id, record] : store_) {
    if (!ended(record.state)) unfinished.push_back(record);
  }
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
  drain_.reset();  // what was not durable, nobody has heard of
  coordinator_.reset();
  failing_until_.reset();
  backlog_.clear();
  asked_.clear();
  coordinator_back_at_ = time_ + some(1s, 40s);
}

void World::to_coordinator(const coordinator::Event& event) {
  if (!coordinator_) return;
  if (failing_until_) return backlog_.push_back(event);
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
  // There are as many drains as messages, so in a large fleet each is the less likely to be the one.
  const double share = 0.4 / static_cast<double>(std::max<std::size_t>(4, agents_.size()));
  if (chance(hazards_.coordinator_crash * share)) return crash_coordinator();  // just before the commit
  writes_ = &drain_->close(time_, time_.time_since_epoch());
  if (chance(hazards_.failing_commits * share)) return fail_commits();
  commit();
}

void World::commit() {
  keep(*writes_);
  const double share = 0.4 / static_cast<double>(std::max<std::size_t>(4, agents_.size()));
  if (chance(hazards_.coordinator_crash * share)) return crash_coordinator();  // just after it
  drain_->committed(now(), [this](const coordinator::Drain::AfterCommit& after) { tell(after); });
}

void World::keep(const coordinator::Writes& writes) {
  for (const auto& write : writes.tasks) {
    const TaskId& id = write.record->id;
    const auto& record = store_[id] = coordinator::kept(write);
    for (const auto& attempt : record.attempts) assigned_.try_emplace({id, attempt.n}, coordinator_life_);
    const auto known = accepted_.find(id);
    if (known != accepted_.end() && record.state == TaskState::expired && known->second.runs > 0 &&
        record.attempts.empty()) {
      violation("expired though it ran: " + describe(id));
    }
  }
  epoch_ = writes.epoch.value_or(epoch_);
}

void World::tell(const coordinator::Drain::AfterCommit& after) {
  for (const auto& effect : after.effects) perform(effect);
  for (const auto& change : after.changes) {
    const auto* task = std::get_if<coordinator::TaskChanged>(&change);
    if (task == nullptr || !ended(task->to)) continue;
    if (++accepted_[task->id].outcomes > 1) violation("two outcomes of " + task->id.str());
  }
}

// Nothing later is stepped, published or answered until it is durable.
void World::fail_commits() {
  ++totals_.failed_commits;
  failing_until_ = time_ + some(1s, 30s);
}

void World::try_commit_again() {
  failing_until_.reset();
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
  Agent& a = agents_[by_name_.at(name)];
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

// Work that is new to an agent goes only where there is somebody who wants it.
void World::check_sending(const coordinator::SendTasks& send) {
  const auto& to = coordinator_->agents.at(coordinator_->agent_index.at(send.agent));
  for (const auto& key : send.tasks) {
    const bool again = !sent_.insert(key).second || assigned_.at(key) != coordinator_life_;
    if (again) continue;  // it was given to that agent before: what it wants now it says itself
    if (to.status.state != AgentState::online) {
      violation(key.id.str() + " was given to " + send.agent.str() + ", which is " +
                std::string(to_string(to.status.state)));
    }
    // Whom a task may have killed is not put beside it, nor it beside others.
    const bool suspicious = coordinator::suspect(coordinator_->tasks.at(key.id).record);
    if (suspicious && to.held.size() > 1) violation("a suspect was put beside others: " + key.id.str());
    if (!suspicious && to.alone) violation("others were put beside a suspect: " + key.id.str());
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
                 [&](const AskStore& ask) {
                   for (const auto& key : ask.tasks) {
                     if (store_.count(key.id) == 0) violation("unknown result of " + key.id.str());
                   }
                   acknowledge(ask.agent, ask.tasks, false);
                 },
                 [&](const AnnounceReign&) {
                   for (auto& a : agents_) announce(a);
                 },
                 [&](const coordinator::Accepted& accepted) {
                   const Time at = asked_.at(accepted.request);
                   asked_.erase(accepted.request);
                   for (const auto& id : accepted.ids) {
                     auto& known = accepted_[id];
                     known.as_accepted = coordinator_->tasks.at(id).record;
                     known.poison = known.as_accepted.spec.name == "poison";
                     known.at = at;
                     recent_.push_back(id);
                   }
                 },
                 [](const Rejected&) {},
                 [](const Done&) {},
             },
             effect);
}

}  // namespace edgefleet::simulation
