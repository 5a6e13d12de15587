// The agents from the view of the coordinator: presence, sessions, and capacity.
#include <algorithm>
#include <map>
#include <memory>

#include "coordinator/core/dispatch.hpp"
#include "coordinator/core/eviction.hpp"
#include "coordinator/core/fleet.hpp"
#include "coordinator/core/lease.hpp"
#include "coordinator/core/parameters.hpp"
#include "coordinator/core/tasks.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr int headroom_step = 5;       // degrees
constexpr double heat_limit = 80;      // at which a Pi's firmware begins to throttle
constexpr int unknown_headroom = 8;    // as if at 40 degrees

int headroom(const Agent& agent) {
  if (!agent.temperature || !agent.temperature->celsius) return unknown_headroom;
  return static_cast<int>((heat_limit - *agent.temperature->celsius) / headroom_step);
}

void refresh_capacity(State& state, Agent& agent) {
  const bool open = placeable(state, agent);
  for (const ExecutorIndex index : agent.executors) {
    state.placement.update(index, [&](ExecutorView& view) {
      view.open = open;
      view.headroom = headroom(agent);
    });
  }
}

// `live`: it changed now; otherwise at an unknown time, while this coordinator did not look.
void set_state(Context& c, Agent& agent, AgentState to, const std::string& why, bool live = true) {
  if (agent.status.state == to) return;
  c.emit(AgentChanged{agent.name, agent.status.state, to});
  agent.status.state = to;
  agent.since = live ? std::optional(c.now.wall) : std::nullopt;
  const auto level = to == AgentState::lost ? NoteLevel::warning : NoteLevel::info;
  c.note(level, "agent " + agent.name.str() + " is " + std::string(to_string(to)) + (why.empty() ? "" : ": " + why),
         "agent " + agent.name.str());
}

// Messages that were on their way to the agent were lost with the connection: a task that its next beat does not list
// is sent again at once. (If the first message arrives nevertheless, it arrives before the second one, which arrives
// before the acknowledgement of either.)
void count_as_unsent(Context& c, const Agent& agent) {
  for_each_attempt(c, agent, [](Task& task, int) {
    for (Attempt& attempt : task.record.attempts) attempt.lease.n = 0;
  });
}

// Called for its will, or after its silence. Its tasks wait for it during their grace.
void mark_lost(Context& c, Agent& agent, const std::string& why, bool live = true) {
  if (agent.status.state == AgentState::lost) return;
  set_state(c, agent, AgentState::lost, why, live);
  agent.beat_names_us = false;
  c.state.silence.clear(agent.index);
  refresh_capacity(c.state, agent);
  count_as_unsent(c, agent);
  for_each_attempt(c, agent, [&](Task& task, int attempt) { start_grace(c, task, attempt); });
}

// A new run of an agent's process, or the first one that is seen.
void begin_session(Context& c, Agent& agent, const SessionId& session) {
  if (agent.session == session) return;
  agent.session = session;
  agent.since.reset();
  agent.beat_names_us = false;
  agent.beat.reset();
  agent.unreachable_until.reset();
  refresh_capacity(c.state, agent);
}

void restart_silence(Context& c, Agent& agent) {
  agent.last_heard = c.now.mono;
  agent.silent = false;
  c.state.silence.set(agent.index, c.now.mono + c.state.policy.silence);
}

// ---- the executors it offers

using LoadedModels = std::map<ExecutorName, std::vector<std::string>>;
LoadedModels loaded_models(const std::optional<AgentInfo>& info) {
  LoadedModels loaded;
  if (!info) return loaded;
  for (const ExecutorInfo& executor : info->executors) {
    if (!executor.loaded_models.empty()) loaded[executor.name] = executor.loaded_models;
  }
  return loaded;
}

using Offers = std::multimap<Capability, std::string>;  // digests of the descriptions, by executor
Offers offers(const std::optional<AgentInfo>& info) {
  Offers all;
  if (!info) return all;
  for (const ExecutorInfo& executor : info->executors) {
    for (const Capability& capability : executor.capabilities) {
      const auto digest = executor.parameters.find(capability);
      all.emplace(capability, digest == executor.parameters.end() ? std::string() : digest->second);
    }
  }
  return all;
}

MachineSize size_of(const AgentInfo& info) {
  constexpr std::uint64_t mb = 1024 * 1024;
  MachineSize size{static_cast<std::uint64_t>(info.cpus), info.memory_bytes / mb, 0, info.max_task_bytes / mb};
  for (const GpuInfo& gpu : info.gpus) size.gpu_memory_mb = std::max(size.gpu_memory_mb, gpu.memory_bytes / mb);
  return size;
}

std::size_t weight(const AgentInfo& info) {
  const auto of_all = [](const auto& texts) {
    std::size_t bytes = 0;
    for (const auto& text : texts) bytes += sizeof(text) + std::string_view(text).size();
    return bytes;
  };
  std::size_t bytes =
      sizeof(info) + info.version.size() + info.board.size() + info.arch.size() + info.os.size() + info.machine.size();
  bytes += info.address.size();
  if (info.config) bytes += info.config->changes.size() + info.config->restart.size() + info.config->problem.size();
  for (const GpuInfo& gpu : info.gpus) bytes += sizeof(gpu) + gpu.name.size();
  for (const auto& [name, value] : info.labels) bytes += sizeof(Labels::value_type) + name.size() + value.size();
  for (const ExecutorInfo& executor : info.executors) {
    bytes += sizeof(executor) + executor.provider.size() + executor.problem.size() + executor.notice.size() +
             executor.capabilities.size() * sizeof(Capability) + of_all(executor.models) +
             of_all(executor.loaded_models);
    for (const auto& [capability, digest] : executor.parameters) {
      bytes += sizeof(capability) + sizeof(digest) + capability.str().size() + digest.size();
    }
  }
  return bytes;
}

// A changed info is bounded in rate and, with those of all agents, in memory: each one is matched with what waits. An
// info that is ignored comes again: an agent repeats its own each minute.
bool admit_info(Context& c, Agent& agent, const AgentInfo& info) {
  const Policy& policy = c.state.policy;
  const std::size_t bytes = weight(info);
  if (c.state.info_bytes - agent.info_bytes + bytes > policy.most_info_bytes) {
    c.note(NoteLevel::warning,
           "the info of agent " + agent.name.str() + " is ignored: those of all agents fill " +
               std::to_string(c.state.info_bytes) + " bytes, the bound is " + std::to_string(policy.most_info_bytes),
           "too many infos");
    return false;
  }
  if (!agent.info_credit.take(c.now.mono, policy.info_burst, policy.info_spacing)) {
    c.note(NoteLevel::warning, "agent " + agent.name.str() + " changes its info too often: this one is ignored",
           "infos of " + agent.name.str());
    return false;
  }
  c.state.info_bytes += bytes - agent.info_bytes;
  agent.info_bytes = bytes;
  return true;
}

void replace_executors(Context& c, Agent& agent) {
  State& state = c.state;
  std::map<ExecutorName, ExecutorView> old;
  std::map<ExecutorIndex, ExecutorName> old_names;
  for (const ExecutorIndex index : agent.executors) {
    const auto& view = state.placement.executor(index);
    old_names[index] = view.info.name;
    old.emplace(view.info.name, view);
    state.placement.remove(index);
  }
  agent.executors.clear();
  std::map<ExecutorName, ExecutorIndex> now;
  const auto labels = std::make_shared<const Labels>(agent.info->labels);
  for (const ExecutorInfo& info : agent.info->executors) {
    if (now.count(info.name) > 0) continue;
    ExecutorView view;
    view.agent = agent.index;
    view.agent_name = agent.name;
    view.labels = labels;
    view.size = size_of(*agent.info);
    view.info = info;
    if (const auto before = old.find(info.name); before != old.end()) {
      view.slots = before->second.slots;
      view.assigned = before->second.assigned;
      view.most_loaded = before->second.most_loaded;
      if (before->second.info.capabilities == info.capabilities) view.experience = before->second.experience;
    }
    view.most_loaded = std::max(view.most_loaded, info.loaded_models.size());
    const auto index = state.placement.add(std::move(view));
    now[info.name] = index;
    agent.executors.push_back(index);
  }
  reserve(state, agent);
  for (const auto& [id, attempt] : agent.attempts) {
    Attempt* const live = find_attempt(state.tasks.at(id), attempt);
    if (live == nullptr || !live->lease.executor) continue;
    const auto same = now.find(old_names[*live->lease.executor]);
    live->lease.executor = same == now.end() ? std::nullopt : std::optional(same->second);
  }
}

// The free slots that the agent reports, plus its running tasks: so the sum stays correct while messages are on their
// way.
void take_capacity(State& state, Agent& agent, const Heartbeat& beat) {
  std::map<ExecutorName, int> running;
  for (const HeldTask& task : beat.held) {
    if (task.phase == HeldPhase::running) ++running[task.executor];
  }
  for (const ExecutorIndex index : agent.executors) {
    state.placement.update(index, [&](ExecutorView& view) {
      const auto free = beat.free_slots.find(view.info.name);
      // An executor that is out of service has no slots; the beat may be older than the report of that.
      const bool serves = free != beat.free_slots.end() && view.info.problem.empty();
      view.slots = !serves ? 0 : std::min(view.info.slots, free->second + running[view.info.name]);
    });
  }
}

// The agent follows an epoch that ours must exceed. One raise is enough, since the agent then follows ours. After each
// raise all agents must present themselves again, so an agent that claims ever higher epochs is ignored for a while.
void raise_epoch_above(Context& c, Agent& agent, const Reign& followed) {
  const Reign& own = c.state.reign;
  if (followed.epoch < own.epoch || followed == own) return;
  if (agent.epoch_raised_at && c.now.mono < *agent.epoch_raised_at + c.state.policy.raise_epoch_every) return;
  if (followed.epoch > own.epoch + limits::epochs_ahead) {
    return c.note(NoteLevel::warning,
                  "agent " + agent.name.str() + " follows epoch " + std::to_string(followed.epoch) +
                      ", which no coordinator can have reached: it is told ours",
                  "absurd epoch of " + agent.name.str());
  }
  agent.epoch_raised_at = c.now.mono;
  c.note(NoteLevel::info,
         "agent " + agent.name.str() + " follows epoch " + std::to_string(followed.epoch) +
             ": our epoch is raised above it",
         "epoch of " + agent.name.str());
  on(c, CoordinatorSeen{false, followed, false});
}

Agent blank(AgentIndex index) {
  Agent agent;
  agent.index = index;
  return agent;
}

// Makes its place free for another agent.
void forget(Context& c, Agent& agent) {
  State& state = c.state;
  for (const ExecutorIndex index : agent.executors) state.placement.remove(index);
  state.silence.clear(agent.index);
  state.recalls.clear(agent.index);
  std::erase_if(state.clearing, [&](const auto& entry) { return entry.second == agent.index; });
  state.info_bytes -= agent.info_bytes;
  state.agent_index.erase(agent.name);
  c.emit(AgentChanged{agent.name, agent.status.state, std::nullopt});
  c.emit(ForgetAgent{agent.name});
  agent = blank(agent.index);
}

void add_agent(Context& c, Agent& place, const AgentName& name) {
  place.name = name;
  place.last_heard = c.now.mono;
  c.emit(AgentChanged{name, std::nullopt, place.status.state});
  c.state.agent_index.emplace(name, place.index);
}

// Our status or its info may have been lost on the way, which the agent cannot know.
void ask_for_introduction(Context& c, Agent& agent, const SessionId& session) {
  if (c.state.over) return;
  const bool introduced = agent.info && agent.info->session == session;
  if (agent.beat_names_us && introduced) return agent.introduction_asked_at.reset();
  // Not at the first beat: both may be on their way.
  if (!agent.introduction_asked_at) {
    agent.introduction_asked_at = c.now.mono;
  } else if (c.now.mono >= *agent.introduction_asked_at + c.state.policy.introduce_every) {
    agent.introduction_asked_at = c.now.mono;
    c.emit(SendIntroduce{agent.name});
  }
}

// Null: the bound on agents has been reached, and all of them are needed.
Agent* admit(Context& c, const AgentName& name) {
  if (Agent* known = agent_by_name(c.state, name)) return known;
  if (c.state.agents.size() < c.state.policy.most_agents || !c.state.vacant.empty()) return &agent_of(c, name);
  const auto away = take_dispensable(c.state, c.now.mono);
  if (!away) {
    c.note(
        NoteLevel::warning,
        "agent " + name.str() + " is ignored: the bound is " + std::to_string(c.state.policy.most_agents) + " agents",
        "too many agents");
    return nullptr;
  }
  Agent& place = c.state.agents[*away];
  c.note(NoteLevel::info,
         "agent " + place.name.str() + " is forgotten: it was away for longest, and others need its place",
         "agent forgotten");
  forget(c, place);
  add_agent(c, place, name);
  return &place;
}

void reject(Context& c, RequestId request, const AgentName& agent, const std::string& why, ErrorKind kind) {
  c.emit(Rejected{request, Error{"agent " + agent.str() + why, kind}});
}

// Null: it was refused.
Agent* ordered(Context& c, RequestId request, const AgentName& name) {
  Agent* const agent = agent_by_name(c.state, name);
  if (agent == nullptr) reject(c, request, name, " is not known", ErrorKind::not_found);
  return agent;
}

}  // namespace

Agent* agent_by_name(State& state, const AgentName& name) {
  const auto found = state.agent_index.find(name);
  return found == state.agent_index.end() ? nullptr : &state.agents[found->second];
}

const Agent* agent_by_name(const State& state, const AgentName& name) {
  const auto found = state.agent_index.find(name);
  return found == state.agent_index.end() ? nullptr : &state.agents[found->second];
}

Agent& agent_of(Context& c, const AgentName& name) {
  if (Agent* known = agent_by_name(c.state, name)) return *known;
  if (!c.state.vacant.empty()) {
    Agent& place = c.state.agents[c.state.vacant.back()];
    c.state.vacant.pop_back();
    add_agent(c, place, name);
    return place;
  }
  c.state.agents.push_back(blank(static_cast<AgentIndex>(c.state.agents.size())));
  add_agent(c, c.state.agents.back(), name);
  return c.state.agents.back();
}

bool gone(const Agent& agent) {
  return agent.status.state == AgentState::lost || agent.status.state == AgentState::offline;
}

bool vacant(const Agent& place) { return place.name.empty(); }

AgentState ordered_state(const Agent& agent) {
  if (gone(agent)) return agent.status.state;
  if (agent.drained) return AgentState::draining;
  const bool hot = agent.temperature && agent.temperature->policy == HeatPolicy::paused;
  return hot ? AgentState::overheated : AgentState::online;
}

void reserve(State& state, Agent& agent) {
  const bool clearing = std::any_of(state.clearing.begin(), state.clearing.end(),
                                    [&](const auto& entry) { return entry.second == agent.index; });
  for (const ExecutorIndex index : agent.executors) {
    state.placement.update(index, [&](ExecutorView& view) { view.reserved = clearing || agent.alone; });
  }
}

bool placeable(const State& state, const Agent& agent) {
  return state.connected && agent.status.state == AgentState::online && agent.status.session == agent.session &&
         agent.info && agent.info->session == agent.session && agent.beat_names_us && !agent.drained && !agent.silent &&
         !agent.unreachable_until &&
         (agent.info->max_tasks == 0 || agent.attempts.size() < static_cast<std::size_t>(agent.info->max_tasks));
}

void hold(State& state, Agent& agent, const TaskRecord& record, int attempt, std::optional<ExecutorIndex> executor) {
  agent.attempts[record.id] = attempt;
  if (suspect(record)) {
    agent.alone = record.id;
    reserve(state, agent);
  }
  if (executor) state.placement.update(*executor, [](ExecutorView& view) { ++view.assigned; });
  if (!placeable(state, agent)) refresh_capacity(state, agent);  // its max_tasks may have been reached
}

void release(State& state, const AgentName& name, const TaskId& id, int attempt,
             std::optional<ExecutorIndex> executor) {
  if (Agent* agent = agent_by_name(state, name)) {
    const bool was_placeable = placeable(state, *agent);
    if (const auto found = agent->attempts.find(id); found != agent->attempts.end() && found->second == attempt) {
      agent->attempts.erase(found);
      if (agent->alone == id) {
        agent->alone.reset();
        reserve(state, *agent);
      }
      if (agent->attempts.empty() && !state.clearing.empty())
        reserve(state, *agent);  // a task may wait for it to be empty
    }
    if (!was_placeable && placeable(state, *agent)) refresh_capacity(state, *agent);
  }
  if (executor) {
    state.placement.update(*executor, [](ExecutorView& view) { view.assigned = std::max(0, view.assigned - 1); });
  }
}

// ---- events

void on(Context& c, const AgentStatusSeen& event) {
  Agent* const agent = admit(c, event.agent);
  if (agent == nullptr) return;
  const AgentStatus& status = event.status;
  switch (status.state) {
    case AgentState::lost:
      if (status.session != agent->session && !agent->session.empty()) return;  // the will of an earlier session
      agent->session = status.session;
      return mark_lost(c, *agent, "its connection broke", event.live);
    case AgentState::offline: {
      if (status.session != agent->session && !agent->session.empty()) return;
      agent->session = status.session;
      set_state(c, *agent, AgentState::offline, "clean shutdown", event.live);
      c.state.silence.clear(agent->index);
      refresh_capacity(c.state, *agent);
      return for_each_attempt(c, *agent,
                              [&](Task& task, int attempt) { attempt_lost(c, task, attempt, "went offline"); });
    }
    case AgentState::online:
    case AgentState::draining:
    case AgentState::overheated:
      begin_session(c, *agent, status.session);
      agent->status.session = status.session;
      agent->reported = status.state;
      // An order to drain or resume may have been lost with the connection.
      if (agent->drained != (status.state == AgentState::draining)) c.emit(SendDrain{agent->name, agent->drained});
      if (!agent->since && event.live) agent->since = c.now.wall;
      set_state(c, *agent, status.state, "", event.live);
      restart_silence(c, *agent);
      return refresh_capacity(c.state, *agent);
  }
}

void on(Context& c, const AgentInfoSeen& event) {
  Agent* const agent = admit(c, event.agent);
  if (agent == nullptr || agent->info == event.info || !admit_info(c, *agent, event.info)) return;
  if (loaded_models(agent->info) != loaded_models(event.info)) c.emit(LoadedModelsChanged{agent->name});
  if (offers(agent->info) != offers(event.info)) c.emit(OffersChanged{agent->name});
  agent->info = event.info;
  replace_executors(c, *agent);
  if (agent->beat_names_us) ask_for_parameters(c, *agent);
  if (agent->beat && agent->beat->session == event.info.session) take_capacity(c.state, *agent, *agent->beat);
  refresh_capacity(c.state, *agent);
}

void on(Context& c, const HeartbeatSeen& event) {
  Agent* const agent = admit(c, event.agent);
  if (agent == nullptr) return;
  const Heartbeat& beat = event.beat;
  // Overtaken by a later one, which has just arrived. (After that a number that is too high silences nobody.)
  if (beat.session == agent->session && agent->beat && beat.sequence < agent->beat->sequence &&
      c.now.mono < agent->last_heard + 2 * heartbeat_interval) {
    return;
  }
  begin_session(c, *agent, beat.session);
  restart_silence(c, *agent);
  agent->skew_ms = beat.clock.unix_ms - c.now.wall.unix_ms;
  // It was lost by silence, and did not notice it.
  if (agent->status.state == AgentState::lost && agent->status.session == beat.session) {
    set_state(c, *agent, agent->reported, "its heartbeats arrive again");
  }
  if (!agent->since && beat.status_for && !gone(*agent)) {
    agent->since = WallTime{c.now.wall.unix_ms - to_ms(*beat.status_for)};
  }
  raise_epoch_above(c, *agent, beat.coordinator);
  agent->beat_names_us = beat.coordinator == c.state.reign;
  ask_for_introduction(c, *agent, beat.session);
  if (agent->beat_names_us) ask_for_parameters(c, *agent);
  agent->beat = beat;
  std::vector<HeldTask>().swap(agent->beat->held);  // with its memory
  take_capacity(c.state, *agent, beat);
  if (agent->beat_names_us) renew_lease(c, *agent, beat);
  refresh_capacity(c.state, *agent);
}

void on(Context& c, const TemperatureSeen& event) {
  Agent* const agent = admit(c, event.agent);
  if (agent == nullptr) return;
  if (agent->temperature != event.temperature) c.emit(TemperatureChanged{agent->name});
  agent->temperature = event.temperature;
  refresh_capacity(c.state, *agent);
}

void on(Context& c, const DrainAgent& event) {
  Agent* const agent = ordered(c, event.request, event.agent);
  if (agent == nullptr) return;
  agent->drained = event.drain;
  refresh_capacity(c.state, *agent);
  c.emit(SaveAgent{event.agent, event.drain});
  c.emit(SendDrain{event.agent, event.drain});
  c.emit(Done{event.request});
}

void on(Context& c, const ReloadAgent& event) {
  const Agent* const agent = ordered(c, event.request, event.agent);
  if (agent == nullptr) return;
  const auto refuse = [&](const std::string& why) { reject(c, event.request, event.agent, why, ErrorKind::conflict); };
  const std::string state(to_string(agent->status.state));
  if (gone(*agent)) return refuse(" is " + state + ": it reads its configuration when it starts");
  if (!agent->info || !agent->info->config) return refuse(" cannot read its configuration again: restart it");
  c.emit(SendReload{event.agent});
  c.emit(Done{event.request});
}

void on(Context& c, const RemoveAgent& event) {
  Agent* const agent = ordered(c, event.request, event.agent);
  if (agent == nullptr) return;
  const auto refuse = [&](const std::string& why) { reject(c, event.request, event.agent, why, ErrorKind::conflict); };
  const std::string state(to_string(agent->status.state));
  if (!gone(*agent)) return refuse(" is " + state + ": stop it first, or it announces itself again");
  if (!agent->attempts.empty())
    return refuse(" had tasks when it was lost, and they still wait for it; try again in a minute");
  if (agent->drained) c.emit(SaveAgent{event.agent, false});
  c.state.vacant.push_back(agent->index);
  forget(c, *agent);
  c.emit(Done{event.request});
}

// The status of another reign. If it is live and not older than ours, its coordinator has taken over. If it is only
// retained or reported, and not older, our epoch must be raised above it (after a restore of the store, for example).
void on(Context& c, const CoordinatorSeen& event) {
  Reign& own = c.state.reign;
  if (event.reign == own || event.reign.session == own.session) return;
  if (c.state.over) return;
  if (event.reign.epoch > own.epoch + limits::epochs_ahead) {
    return c.note(NoteLevel::warning,
                  "a coordinator status with epoch " + std::to_string(event.reign.epoch) +
                      " was ignored: no coordinator can have reached it",
                  "absurd epoch");
  }
  if (event.online && event.live && event.reign.epoch >= own.epoch) {
    c.state.over = true;
    return c.emit(StopProgram{"another coordinator (session " + event.reign.session.str() + ", epoch " +
                              std::to_string(event.reign.epoch) + ") has taken over this fleet; this one, of epoch " +
                              std::to_string(own.epoch) + ", stops"});
  }
  if (event.reign.epoch < own.epoch) {
    if (event.online && event.live) announce(c);  // so that it stops
    return;
  }
  own.epoch = event.reign.epoch + 1;
  c.emit(SaveReign{own});
  announce(c);
  for (Agent& agent : c.state.agents) {
    agent.beat_names_us = false;
    refresh_capacity(c.state, agent);
  }
}

void announce(Context& c) {
  if (c.state.over) return;  // otherwise the new coordinator would stop too
  c.emit(AnnounceReign{});
}

void on_silence(Context& c, AgentIndex index) {
  Agent& agent = c.state.agents[index];
  if (!c.state.connected || agent.silent) return;
  agent.silent = true;
  mark_lost(c, agent, "no heartbeat for " + std::to_string(to_ms(c.state.policy.silence) / 1000) + " s");
}

// An agent may need longer than this coordinator to reconnect to the broker, and messages that are published before it
// has subscribed are lost: each agent must beat again first. If only the coordinator was disconnected, the agents do so
// when they see it online again.
void forget_beats(Context& c) {
  for (Agent& agent : c.state.agents) {
    agent.beat_names_us = false;
    refresh_capacity(c.state, agent);
    count_as_unsent(c, agent);
  }
}

// Beats that waited during the pause may be older than the last message: a task that they do not list may still arrive.
void renew_sendings(Context& c) {
  for (Agent& agent : c.state.agents) {
    for_each_attempt(c, agent, [&](Task& task, int) {
      for (Attempt& attempt : task.record.attempts) attempt.lease.sent_at = c.now.mono;
    });
  }
}

// The coordinator itself was disconnected or not running: that time counts against no agent.
void restart_deadlines(Context& c) {
  for (Agent& agent : c.state.agents) {
    if (vacant(agent)) continue;
    if (gone(agent) && !agent.session.empty()) {
      for_each_attempt(c, agent, [&](Task& task, int attempt) { start_grace(c, task, attempt); });
      continue;
    }
    c.state.silence.set(agent.index, c.now.mono + c.state.policy.silence);
  }
}

}  // namespace edgefleet::coordinator
