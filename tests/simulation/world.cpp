#include "tests/simulation/world.hpp"
#include "common/core/overloaded.hpp"

#include <sstream>

namespace edgefleet::simulation {
namespace {

using namespace std::chrono_literals;
constexpr Duration turn = 100ms;
const Capability work = *Capability::parse("work");
const ExecutorName main_executor = *ExecutorName::parse("main");
constexpr int slots = 3;

}  // namespace

World::World(std::uint64_t seed, int agents, Hazards hazards) : random_(seed), hazards_(hazards) {
  for (int i = 0; i < agents; ++i) {
    Agent a;
    a.number = i;
    a.name = *AgentName::parse("pi-" + std::to_string(i));
    agents_.push_back(std::move(a));
  }
  start_coordinator();
  for (auto& a : agents_) start_agent(a);
}

Duration World::some(Duration least, Duration most) {
  return Duration{std::uniform_int_distribution<std::int64_t>(least.count(), most.count())(random_)};
}

// Retained status is what the broker keeps, so it is not lost for good; all else may be.
void World::post(std::function<void()> deliver, bool reliable) {
  const int copies = !reliable && chance(hazards_.loss) ? 0 : chance(hazards_.repeat) ? 2 : 1;
  for (int i = 0; i < copies; ++i) network_.push({time_ + some(1ms, 80ms), ++order_, deliver});
}

// ---- coordinator

void World::start_coordinator() {
  ++coordinator_life_;
  ++epoch_;
  const auto session = *SessionId::parse("c" + std::to_string(coordinator_life_));
  coordinator_ = std::make_unique<coordinator::State>(Reign{epoch_, session}, random_());
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
  coordinator_.reset();
  dirty_.clear();
  after_commit_.clear();  // was never durable, so nobody has heard of it
  coordinator_back_at_ = time_ + some(1s, 40s);
}

void World::to_coordinator(const coordinator::Event& event) {
  if (!coordinator_) return;
  for (auto& effect : coordinator::step(*coordinator_, event, now())) {
    if (const auto* save = std::get_if<coordinator::SaveTask>(&effect)) {
      dirty_.insert(save->id);
    } else if (const auto* epoch = std::get_if<coordinator::SaveEpoch>(&effect)) {
      epoch_ = epoch->epoch;
    } else {
      after_commit_.push_back(std::move(effect));
    }
  }
}

void World::drain_coordinator() {
  if (!coordinator_) return;
  if (const auto due = coordinator::next_deadline(*coordinator_); due && *due <= time_)
    to_coordinator(coordinator::Tick{});
  to_coordinator(coordinator::Place{});
  if (chance(hazards_.coordinator_crash * 0.1)) return crash_coordinator();  // just before the commit
  for (const TaskId& id : dirty_) store_[id] = coordinator::snapshot(coordinator_->tasks.at(id), time_);
  dirty_.clear();
  if (chance(hazards_.coordinator_crash * 0.1)) return crash_coordinator();  // just after it
  for (const auto& effect : std::exchange(after_commit_, {})) perform(effect);
  if (!coordinator_->ended.empty()) to_coordinator(coordinator::Committed{});
}

void World::perform(const coordinator::Effect& effect) {
  using namespace coordinator;
  const auto reach = [&](const AgentName& name, agent::Event event) {
    for (auto& a : agents_) {
      if (a.name != name) continue;
      const auto life = a.life;
      post([this, &a, life, event = std::move(event)] {
        if (a.life == life && a.linked) to_agent(a, event);
      });
    }
  };
  const Reign reign = coordinator_->reign;
  std::visit(overloaded{
                 [&](const SendTasks& send) {
                   agent::TasksSeen seen{reign, send.n, send.capability, {}};
                   for (const auto& key : send.tasks) {
                     const auto& spec = coordinator_->tasks.at(key.id).record.spec;
                     seen.tasks.push_back({key.id, key.attempt, spec.input, spec.timeout});
                   }
                   reach(send.agent, seen);
                 },
                 [&](const SendAcknowledge& send) {
                   agent::AcknowledgeSeen seen{reign, {}};
                   for (const auto& key : send.tasks) seen.results.push_back({key, false});
                   reach(send.agent, seen);
                 },
                 [&](const SendCancel& send) { reach(send.agent, agent::CancelSeen{reign, send.tasks}); },
                 [&](const SendRecall& send) { reach(send.agent, agent::RecallSeen{reign, send.tasks}); },
                 [&](const SendDrain& send) { reach(send.agent, agent::DrainSeen{reign, send.drain}); },
                 [&](const AskStore& ask) {
                   agent::AcknowledgeSeen seen{reign, {}};
                   for (const auto& key : ask.tasks) {
                     if (store_.count(key.id) == 0) violations_.push_back("unknown result of " + key.id.str());
                     seen.results.push_back({key, false});
                   }
                   reach(ask.agent, seen);
                 },
                 [&](const AnnounceReign&) {
                   for (auto& a : agents_) {
                     const auto life = a.life;
                     post(
                         [this, &a, life, reign] {
                           if (a.life == life && a.linked) to_agent(a, agent::CoordinatorSeen{true, reign});
                         },
                         true);
                   }
                 },
                 [&](const coordinator::Accepted& accepted) {
                   for (const auto& id : accepted.ids) {
                     accepted_[id].max_attempts = coordinator_->tasks.at(id).record.spec.max_attempts;
                   }
                 },
                 [&](const TaskEnded& end) {
                   if (++accepted_[end.id].outcomes > 1) violations_.push_back("two outcomes of " + end.id.str());
                 },
                 [&](const StopProgram& stop) { violations_.push_back("stopped: " + stop.reason); },
                 [](const auto&) {},
             },
             effect);
}

// ---- agents

void World::start_agent(Agent& a) {
  ++a.life;
  a.ends.clear();
  const auto session = *SessionId::parse(a.name.str() + "-" + std::to_string(a.life));
  a.core = std::make_unique<agent::State>(a.name, session, agent::HeatLimits{});
  ExecutorInfo executor;
  executor.name = main_executor;
  executor.capabilities = {work};
  executor.slots = slots;
  to_agent(a, agent::OfferChanged{executor});
  for (const auto& [key, kept] : a.disk) to_agent(a, kept);
  link(a);
}

void World::link(Agent& a) {
  a.linked = true;
  to_agent(a, agent::LinkUp{});
  if (!coordinator_) return;
  const auto life = a.life;
  const Reign reign = coordinator_->reign;
  post(
      [this, &a, life, reign] {
        if (a.life == life && a.linked) to_agent(a, agent::CoordinatorSeen{true, reign});
      },
      true);
}

void World::cut(Agent& a) {
  a.linked = false;
  to_agent(a, agent::LinkDown{});
  const AgentStatus will{AgentState::lost, a.core->session};
  post([this, name = a.name, will] { to_coordinator(coordinator::AgentStatusSeen{name, will}); }, true);
  a.back_at = time_ + some(200ms, 60s);
}

void World::crash_agent(Agent& a, bool will) {
  if (will && a.linked) {
    const AgentStatus last{AgentState::lost, a.core->session};
    post([this, name = a.name, last] { to_coordinator(coordinator::AgentStatusSeen{name, last}); }, true);
  }
  a.core.reset();
  a.linked = false;
  a.back_at = time_ + some(500ms, 60s);
}

void World::to_agent(Agent& a, const agent::Event& event) {
  if (!a.core) return;
  for (const auto& effect : agent::step(*a.core, event, time_)) perform(a, effect);
}

void World::perform(Agent& a, const agent::Effect& effect) {
  const auto tell = [&](coordinator::Event event, bool reliable = false) {
    if (a.linked) post([this, event = std::move(event)] { to_coordinator(event); }, reliable);
  };
  std::visit(overloaded{
                 [&](const agent::StartTask& start) {
                   a.ends[start.key] = time_ + some(1ms, 20s);
                   auto& seen = accepted_[start.key.id];
                   if (++seen.runs > 1 && seen.max_attempts == 1)
                     violations_.push_back("ran twice: " + start.key.id.str());
                   if (a.ends.size() > slots) violations_.push_back(a.name.str() + " runs more than its slots");
                 },
                 [&](const agent::StopTask& stop) {
                   a.ends.erase(stop.key);
                   agent::Finished finished;
                   finished.key = stop.key;
                   finished.error = TaskError{"cancelled", "stopped", false, {}};
                   const auto life = a.life;
                   network_.push({time_ + some(1ms, 2s), ++order_, [this, &a, life, finished] {
                                    if (a.life == life && a.core) to_agent(a, finished);
                                  }});
                 },
                 [&](const agent::SendResults& send) { tell(coordinator::ResultsSeen{a.name, send.results}); },
                 [&](const agent::SendInfo&) {
                   AgentInfo info;
                   info.session = a.core->session;
                   info.max_tasks = a.core->policy.max_tasks;
                   for (const auto& [name, executor] : a.core->executors) info.executors.push_back(executor.info);
                   tell(coordinator::AgentInfoSeen{a.name, info}, true);
                 },
                 [&](const agent::SendBeat&) {
                   Heartbeat beat;
                   beat.session = a.core->session;
                   beat.sequence = a.core->beats;
                   beat.coordinator = a.core->reign;
                   beat.n = a.core->n;
                   beat.free_slots = agent::free_slots(*a.core);
                   beat.held = agent::held_list(*a.core, time_);
                   tell(coordinator::HeartbeatSeen{a.name, beat});
                 },
                 [&](const agent::SpoolResult& spool) {
                   const auto& held = a.core->held.at(spool.key);
                   a.disk[spool.key] = {held.capability, held.result, {}};
                 },
                 [&](const agent::UnspoolResult& unspool) { a.disk.erase(unspool.key); },
                 [&](const agent::SendStatus& status) {
                   tell(coordinator::AgentStatusSeen{a.name, {status.state, a.core->session}}, true);
                 },
                 [](const auto&) {},
             },
             effect);
}

void World::tick(Agent& a) {
  if (!a.core) {
    if (time_ >= a.back_at) start_agent(a);
    return;
  }
  if (!a.linked && time_ >= a.back_at) link(a);
  std::vector<AttemptKey> over;
  for (const auto& [key, at] : a.ends) {
    if (at <= time_) over.push_back(key);
  }
  for (const auto& key : over) {
    a.ends.erase(key);
    agent::Finished finished;
    finished.key = key;
    finished.run = 20ms;  // what is learned from it lets tasks wait at agents, though in truth they take longer
    if (chance(0.05)) finished.error = TaskError{"hiccup", "again", true, {}};
    to_agent(a, finished);
  }
  to_agent(a, agent::Tick{});
  to_agent(a, agent::Flush{});
  const double per_turn = std::chrono::duration<double>(turn).count();
  if (chance(hazards_.agent_crash * per_turn)) return crash_agent(a, !chance(0.3));
  if (a.linked && chance(hazards_.link_cut * per_turn)) cut(a);
}

// ---- the world

void World::run(Duration time) {
  const Time until = time_ + time;
  while (time_ < until) {
    time_ += turn;
    while (!network_.empty() && network_.top().at <= time_) {
      const auto deliver = network_.top().deliver;
      network_.pop();
      deliver();
      drain_coordinator();
    }
    for (auto& a : agents_) tick(a);
    if (coordinator_ && chance(hazards_.coordinator_crash * std::chrono::duration<double>(turn).count()))
      crash_coordinator();
    if (!coordinator_ && time_ >= coordinator_back_at_) start_coordinator();
    drain_coordinator();
  }
}

void World::submit(int count) {
  coordinator::SubmitTasks event;
  for (int i = 0; i < count; ++i) {
    coordinator::SubmitTasks::One one;
    one.spec.capability = work;
    one.spec.timeout = 10min;
    one.spec.max_attempts = random_() % 10 == 0 ? 1 : 50;
    one.spec.priority = static_cast<int>(random_() % 3);
    event.tasks.push_back(std::move(one));
  }
  to_coordinator(event);
  drain_coordinator();
}

void World::cancel_some(int count) {
  for (const auto& [id, task] : accepted_) {
    if (count == 0 || !coordinator_) break;
    if (task.outcomes > 0 || random_() % 4 != 0) continue;
    to_coordinator(coordinator::CancelTask{0, id});
    --count;
  }
  drain_coordinator();
}

std::size_t World::unfinished() const {
  std::size_t count = 0;
  for (const auto& [id, task] : accepted_) {
    const auto record = store_.find(id);
    if (record == store_.end() || !ended(record->second.state)) ++count;
  }
  return count;
}

std::string World::describe(const TaskId& id) const {
  std::ostringstream text;
  const auto& record = store_.at(id);
  text << id.str() << ' ' << to_string(record.state);
  for (const auto& a : record.attempts) text << " [" << a.n << ' ' << a.agent.str() << ' ' << to_string(a.state) << ']';
  return text.str();
}

}  // namespace edgefleet::simulation
