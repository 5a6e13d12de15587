// The agents of the simulated world: their cores, their tasks, their restarts and their disks.
#include "common/core/overloaded.hpp"
#include "tests/simulation/world.hpp"

namespace edgefleet::simulation {
namespace {

using namespace std::chrono_literals;
const ExecutorName main_executor = *ExecutorName::parse("main");
constexpr int slots = 3;
constexpr Duration reading_interval = 2s;

}  // namespace

void World::start_agent(Agent& a) {
  ++a.life;
  a.ends.clear();
  const auto session = *SessionId::parse(a.name.str() + "-" + std::to_string(a.life));
  a.core = std::make_unique<agent::State>(a.name, session, agent::HeatLimits{});
  a.crash_at = next(hazards_.agent_crash);
  a.reload_at = next(hazards_.reload);
  a.loaded.clear();
  offer(a);
  for (const auto& [key, kept] : a.disk) to_agent(a, kept);
  link(a);
}

void World::offer(Agent& a) {
  ExecutorInfo executor;
  executor.name = main_executor;
  executor.capabilities = {*Capability::parse("work")};
  executor.slots = slots;
  for (int i = 0; i < models; ++i) executor.models.push_back("m" + std::to_string(i));
  if (!a.loaded.empty()) executor.loaded_models = {a.loaded};
  to_agent(a, agent::OfferChanged{executor, false});
}

void World::offer_after(Agent& a, Duration time) {
  network_.push({time_ + time, ++order_, [this, &a, life = a.life] {
                   if (a.life == life && a.core) offer(a);
                 }});
}

void World::reload(Agent& a) {
  if (!a.core->held.empty()) ++totals_.reloads;
  a.reload_at = next(hazards_.reload);
  agent::Reconfigured event;
  event.max_tasks = a.core->policy.max_tasks;
  event.stop_grace = a.core->policy.stop_grace;
  (chance(0.5) ? event.changed : event.removed) = {main_executor};
  to_agent(a, event);
  offer_after(a, some(1ms, 5s));
}

void World::leave(Agent& a) {
  if (a.away.empty() || a.away.back().second != Time::max()) a.away.emplace_back(time_, Time::max());
}

void World::link(Agent& a) {
  if (!a.away.empty()) a.away.back().second = time_;
  a.linked = true;
  a.cut_at = next(hazards_.link_cut);
  to_agent(a, agent::LinkUp{});
  if (coordinator_) announce(a);
}

void World::cut(Agent& a) {
  ++totals_.links_cut;
  leave(a);
  a.linked = false;
  to_agent(a, agent::LinkDown{});
  const AgentStatus will{AgentState::lost, a.core->session};
  post([this, name = a.name, will] { to_coordinator(coordinator::AgentStatusSeen{name, will}); }, true);
  a.back_at = time_ + some(200ms, 60s);
}

void World::crash_agent(Agent& a, bool will) {
  ++totals_.agent_crashes;
  leave(a);
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
  a.touched = true;
  for (const auto& effect : agent::step(*a.core, event, time_)) perform(a, effect);
}

void World::tell(const Agent& a, coordinator::Event event, bool reliable) {
  if (a.linked) post([this, event = std::move(event)] { to_coordinator(event); }, reliable);
}

void World::begin(Agent& a, const agent::StartTask& start) {
  ++totals_.runs;
  a.ends[start.key] = time_ + some(1ms, 20s);
  auto& seen = accepted_[start.key.id];
  const auto& spec = seen.as_accepted.spec;
  if (++seen.runs > 1 && spec.max_attempts == 1) violation("ran twice: " + start.key.id.str());
  if (seen.cancelled_in_time) violation("began although it was cancelled in time: " + start.key.id.str());
  if (time_ < seen.at + spec.delay) violation("began before its delay was over: " + start.key.id.str());
  if (a.ends.size() > slots) violation(a.name.str() + " runs more than its slots");
  const auto model = spec.where.find("model");
  if (model == spec.where.end() || model->second == a.loaded) return;
  a.loaded = model->second;
  offer_after(a, some(1ms, 2s));  // as by an agent that queries its server for loaded models
}

void World::stop(Agent& a, const AttemptKey& key) {
  a.ends.erase(key);
  agent::Finished finished;
  finished.key = key;
  finished.error = TaskError{"cancelled", "stopped", false, {}};
  network_.push({time_ + some(1ms, 2s), ++order_, [this, &a, life = a.life, finished] {
                   if (a.life == life && a.core) to_agent(a, finished);
                 }});
}

void World::perform(Agent& a, const agent::Effect& effect) {
  std::visit(overloaded{
                 [&](const agent::StartTask& start) { begin(a, start); },
                 [&](const agent::StopTask& stopped) { stop(a, stopped.key); },
                 [&](const agent::SendResults& send) { tell(a, coordinator::ResultsSeen{a.name, send.results}); },
                 [&](const agent::SendInfo&) {
                   AgentInfo info;
                   info.session = a.core->session;
                   info.max_tasks = a.core->policy.max_tasks;
                   info.executors = agent::offers_of(*a.core);
                   tell(a, coordinator::AgentInfoSeen{a.name, info}, true);
                 },
                 [&](const agent::SendBeat&) {
                   Heartbeat beat;
                   beat.session = a.core->session;
                   beat.sequence = a.core->beats;
                   beat.coordinator = a.core->reign;
                   beat.n = a.core->n;
                   beat.free_slots = agent::free_slots(*a.core);
                   beat.held = agent::held_list(*a.core, time_);
                   tell(a, coordinator::HeartbeatSeen{a.name, beat});
                 },
                 [&](const agent::SpoolResult& spool) {
                   const auto& held = a.core->held.at(spool.key);
                   a.disk[spool.key] = {held.result, {}};
                 },
                 [&](const agent::UnspoolResult& unspool) { a.disk.erase(unspool.key); },
                 [&](const agent::SendStatus& status) {
                   if (status.state == AgentState::overheated) ++totals_.paused_for_heat;
                   tell(a, coordinator::AgentStatusSeen{a.name, {status.state, a.core->session}}, true);
                 },
                 [](const auto&) {},
             },
             effect);
}

// A poison task ends its agent.
void World::end_runs(Agent& a) {
  std::vector<AttemptKey> over;
  for (const auto& [key, at] : a.ends) {
    if (at <= time_) over.push_back(key);
  }
  for (const auto& key : over) {
    auto& task = accepted_[key.id];
    if (task.poison && !calm_) {
      ++task.killed;
      check_neighbours(a, key.id);
      return crash_agent(a, true);
    }
    a.ends.erase(key);
    agent::Finished finished;
    finished.key = key;
    finished.run = 20ms;  // the estimate from it lets tasks wait at agents, although they really take longer
    if (chance(0.05)) finished.error = TaskError{"hiccup", "again", true, {}};
    to_agent(a, finished);
  }
}

// An innocent task that has lost agents, and has one attempt left, is not lost for good by a poison task beside it.
void World::check_neighbours(const Agent& a, const TaskId& poison) {
  for (const auto& [key, at] : a.ends) {
    const auto record = store_.find(key.id);
    if (key.id == poison || record == store_.end() || ended(record->second.state)) continue;
    ++totals_.neighbours_of_poison;
    const auto& attempts = record->second.attempts;
    const bool current = !attempts.empty() && attempts.back().n == key.attempt && !ended(attempts.back().state);
    if (current && coordinator::suspect(record->second))
      violation("lost by a poison task beside it: " + describe(key.id));
  }
}

void World::warm(Agent& a) {
  if (time_ >= a.hot_at) {
    a.cool_at = time_ + some(10s, 120s);
    a.hot_at = next(hazards_.heat);
    a.next_reading = time_;
  }
  if (a.cool_at == Time{} || time_ < a.next_reading) return;
  a.next_reading = time_ + reading_interval;
  const bool hot = time_ < a.cool_at && !calm_;
  const double celsius = (hot ? 84 : 50) + static_cast<double>(random_() % 100) / 50;
  to_agent(a, agent::TemperatureRead{{{"cpu-thermal", true, celsius * 1000, ""}}, {}, 0.5});
}

void World::tick(Agent& a) {
  if (!a.core) {
    if (time_ >= a.back_at) start_agent(a);
    return;
  }
  if (!a.linked && time_ >= a.back_at) link(a);
  if (!a.ends.empty()) end_runs(a);
  warm(a);
  if (!a.core) return;
  if (time_ >= a.reload_at) reload(a);
  if (a.touched || agent::next_deadline(*a.core) <= time_) {
    to_agent(a, agent::Tick{});
    to_agent(a, agent::Flush{});
    a.touched = false;
  }
  if (time_ >= a.crash_at) return crash_agent(a, !chance(0.3));
  if (a.linked && time_ >= a.cut_at) cut(a);
}

}  // namespace edgefleet::simulation
