#include "edge-agent/shell/loop.hpp"

#include <algorithm>

#include "common/core/counts.hpp"
#include "common/core/overloaded.hpp"
#include "common/protocol/artifacts.hpp"
#include "common/system/clock.hpp"
#include "common/system/entropy.hpp"
#include "edge-agent/sensors/machine.hpp"
#include "edge-agent/shell/events.hpp"

namespace edgefleet::agent {
namespace {

using protocol::TopicKind;

constexpr Duration goodbye = std::chrono::seconds(2);
constexpr Duration reading_interval = std::chrono::seconds(2);
constexpr Duration progress_interval = std::chrono::milliseconds(500);
// Another agent with our name, seen this often within this time, is not an earlier run of ours.
constexpr std::size_t name_conflict_limit = 3;
constexpr Duration name_conflict_window = std::chrono::minutes(2);
constexpr std::size_t most_part_bytes = 16 * 1024;  // of partial output in a message

std::string stop_line(const State& state) {
  const auto running =
      std::ranges::count_if(state.held, [](const auto& entry) { return entry.second.phase == HeldPhase::running; });
  if (running == 0) return "stopping: no task runs";
  return "stopping: no new tasks; " +
         counted(static_cast<std::uint64_t>(running), "running task has", "running tasks have") + " " +
         std::to_string(to_ms(state.policy.stop_grace) / 1000) + " s";
}

}  // namespace

Loop::Loop(Options options, std::vector<std::unique_ptr<Executor>> executors)
    : options_(std::move(options)),
      topics_(options_.fleet),
      state_(options_.name, new_session_id(), options_.heat),
      inbox_(options_.inbox),
      thermometer_(options_.sys),
      began_(monotonic_now()),
      spool_(options_.spool),
      session_(random_seed()),
      pool_(std::make_unique<Pool>([this](Finished finished) { inbox_.insist(std::move(finished)); },
                                   [this](const AttemptKey& key, const Progress& progress) {
                                     if (!inbox_.offer(Progressed{key, progress})) ++dropped_;
                                   },
                                   options_.artifacts)) {
  state_.policy = options_.policy;
  machine_.session = state_.session;
  machine_.version = EDGEFLEET_VERSION;
  machine_.max_tasks = max_tasks_ = options_.policy.max_tasks;
  machine_.max_task_bytes = options_.max_task_bytes;
  machine_.labels = options_.labels;
  machine_.machine = options_.machine;
  describe_machine(machine_);
  machine_.config.emplace();
  for (auto& executor : executors) executors_.put(std::move(executor));
}

Loop::~Loop() = default;

void Loop::request_stop() { inbox_.insist(StopAsked{}); }

void Loop::reload() { inbox_.insist(ReloadWanted{}); }

Status Loop::run() {
  options_.broker.client_id = "edgefleet-" + options_.fleet.str() + "-agent-" + options_.name.str();
  options_.broker.will = mqtt::Message{topics_.build({TopicKind::agent_status, options_.name, {}, {}}),
                                       protocol::encode(AgentStatus{AgentState::lost, state_.session}),
                                       1,
                                       true,
                                       {},
                                       {}};
  auto client = options_.make_client(options_.broker, [this](mqtt::ClientEvent event) {
    const bool refusable = std::holds_alternative<mqtt::Received>(event);
    if (!refusable) return inbox_.insist(std::move(event));
    if (!inbox_.offer(std::move(event))) ++dropped_;  // the coordinator sends it again
  });
  if (!client) return client.error();
  client_ = std::move(*client);
  read_sensors();
  restore();
  for (const auto& [name, one] : executors_) start(one);
  watch_files();
  MachineWatch::Options watch;
  watch.sys = options_.sys;
  watch.work = options_.work;
  watch.broker_host = options_.broker_host;
  watch_ = std::make_unique<MachineWatch>(std::move(watch), [this](MachineReading reading) {
    if (!inbox_.offer(std::move(reading))) ++dropped_;  // there will be another one
  });
  perform_mqtt(session_.start(monotonic_now()));

  while (!end_ && !fatal_) take_turn(wake_at());
  end_work();
  say_goodbye();
  executors_.destroy_all();
  return fatal_ ? Status(Error{*fatal_}) : success();
}

void Loop::take_turn(Time until) {
  for (auto& item : inbox_.drain(until)) take(item);
  if (std::exchange(read_again_, false)) read_configuration();
  publish_parts();  // before the result, which contains all of them
  read_sensors();
  if (options_.watch) options_.watch->coordinator_is(state_.coordinator_online);
  perform_mqtt(session_.tick(monotonic_now()));
  step(Tick{});
  step(Flush{});
  spool();
  release_files();
}

// On `offline`, the coordinator gives our tasks to other agents: by then none of them may still run, and all results
// are delivered or on the disk.
void Loop::end_work() {
  if (options_.freeze_work) options_.freeze_work(false);  // frozen processes could not end
  watch_.reset();
  pool_.reset();
  const Time until = monotonic_now() + goodbye;
  do {
    take_turn(std::min(until, monotonic_now() + std::chrono::milliseconds(50)));
  } while (session_.up() && state_.coordinator_online && state_.results > 0 && monotonic_now() < until);
  if (options_.artifacts) options_.artifacts->stop();
  if (options_.watch) options_.watch->stop();
  step(Ending{});
  spool();
}

void Loop::restore() {
  std::vector<std::string> complaints;
  auto kept = spool_.load(complaints);
  for (const auto& complaint : complaints) log::warning(complaint);
  if (!kept.empty()) log::info(std::to_string(kept.size()) + " results of an earlier run are still to be delivered");
  for (auto& one : kept) {
    auto uploads = hold_files({one.id, one.attempt}, one.output, one.output_at);
    step(Restored{std::move(one), std::move(uploads)});
  }
  if (!options_.artifacts) return;
  options_.artifacts->start([this](std::string artifact) { inbox_.insist(ArtifactUploaded{std::move(artifact)}); },
                            [this](std::string artifact, const Error& why) {
                              const bool too_large = why.kind == ErrorKind::too_large;
                              inbox_.insist(ArtifactRefused{std::move(artifact), why.message, !too_large});
                            });
}

void Loop::watch_files() {
  if (!options_.watch) return;
  options_.watch->start([this](std::string problem) { inbox_.insist(FilesSeen{std::move(problem)}); });
}

void Loop::spool() {
  if (to_spool_.empty()) return;
  const auto keys = std::exchange(to_spool_, {});
  std::vector<TaskResult> results;
  for (const AttemptKey& key : keys) {
    const auto held = state_.held.find(key);
    if (held != state_.held.end()) results.push_back(held->second.result);
  }
  if (results.empty()) return;
  const auto kept = spool_.keep(results);
  if (kept) return;
  complaints_.complain("spool", "results that cannot be delivered are in memory only: " + kept.error().message);
  for (const AttemptKey& key : keys) step(SpoolFailed{key});
}

void Loop::handle(Finished& finished) {
  finished.uploads = hold_files(finished.key, finished.output, finished.output_at);
  step(std::move(finished));
}

// Those that the coordinator does not have yet.
std::set<std::string> Loop::hold_files(const AttemptKey& key, const JsonText& output,
                                       const std::optional<TextFile>& output_at) {
  if (!options_.artifacts) return {};
  const auto named = protocol::artifacts_of(output, output_at);
  std::set<std::string> files(named.begin(), named.end());
  if (files.empty()) return {};
  auto waiting = options_.artifacts->hold(files);
  files_[key] = std::move(files);
  return waiting;
}

// Of results that have been acknowledged.
void Loop::release_files() {
  std::erase_if(files_, [&](const auto& entry) {
    if (state_.held.contains(entry.first)) return false;
    options_.artifacts->release(entry.second);
    return true;
  });
}

void Loop::upload_again(const protocol::ControlMessage& asked) {
  for (const auto& ref : asked.tasks.good) {
    auto uploads = options_.artifacts ? options_.artifacts->upload_again(ref.artifacts) : std::set<std::string>{};
    step(UploadSeen{asked.reign, {ref.id, ref.attempt}, std::move(uploads)});
  }
}

void Loop::handle(ArtifactRefused& refused) {
  log::warning("artifact " + refused.artifact + " was refused by the coordinator: " + refused.why);
  step(std::move(refused));
}

Time Loop::wake_at() const {
  Time at = std::min(next_deadline(state_), next_reading_);
  if (const auto tick = session_.next_tick()) at = std::min(at, *tick);
  return at;
}

void Loop::read_sensors() {
  const Time now = monotonic_now();
  if (now < next_reading_) return;
  next_reading_ = now + reading_interval;
  TemperatureRead read;
  for (auto& zone : thermometer_.zones()) {
    read.zones.push_back({std::move(zone.name), zone.cpu, zone.value, std::move(zone.text)});
  }
  read.throttled = thermometer_.throttled();
  read.load = load_average() / machine_.cpus;
  step(std::move(read));
}

void Loop::take(Item& item) {
  std::visit([this](auto& what) { handle(what); }, item);
}

void Loop::describe(const protocol::ControlMessage& asked) {
  if (asked.reign != state_.reign) return;
  std::map<std::string, protocol::ParametersElement> found;
  for (const auto& [name, schemas] : schemas_) {
    for (const auto& one : schemas) {
      if (std::find(asked.digests.begin(), asked.digests.end(), one.digest) != asked.digests.end()) {
        found.emplace(one.digest, one);
      }
    }
  }
  std::vector<protocol::ParametersElement> elements;
  for (auto& [digest, one] : found) elements.push_back(std::move(one));
  for (std::size_t first = 0; first < elements.size();) {
    publish(TopicKind::parameters,
            protocol::encode_parameters(state_.session, elements, first, deliveries_.most_bytes()));
  }
}

void Loop::handle(MachineReading& reading) {
  const bool changed = reading.address != reading_.address || reading.gpus != reading_.gpus;
  reading_ = std::move(reading);
  if (!changed) return;
  machine_.address = reading_.address;
  machine_.gpus = reading_.gpus;
  step(MachineChanged{});
}

void Loop::handle(const StopAsked&) {
  if (state_.stop_at) {
    log::warning("second request to stop: stopping at once");
    end_ = true;
    return;
  }
  log::info(stop_line(state_));
  step(Stop{});
}

// Pieces of one drain share a message: the higher the load, the fewer messages.
void Loop::take_part(const Progressed& progressed) {
  const Progress& part = progressed.progress;
  protocol::StreamMessage* last = parts_.empty() ? nullptr : &parts_.back();
  if (last != nullptr && last->id == progressed.key.id && last->attempt == progressed.key.attempt &&
      last->channel == part.channel && last->at + last->delta.size() == part.at &&
      last->delta.size() < most_part_bytes) {
    last->delta += part.text;
    return;
  }
  parts_.push_back({state_.session, progressed.key.id, progressed.key.attempt, part.at, part.text, part.channel, {}});
}

void Loop::publish_parts() {
  for (const auto& part : std::exchange(parts_, {})) publish(TopicKind::stream, protocol::encode(part));
}

void Loop::handle(const Progressed& progressed) {
  const auto held = state_.held.find(progressed.key);
  if (held == state_.held.end() || held->second.phase != HeldPhase::running) return;
  if (progressed.progress.channel != Channel::note) return take_part(progressed);
  // At most twice a second per task: progress is for people.
  const Time now = monotonic_now();
  auto& last = last_progress_[progressed.key];
  if (last + progress_interval > now) return;
  last = now;
  protocol::StreamMessage message{
      state_.session, progressed.key.id, progressed.key.attempt, 0, progressed.progress.text, {}, {}};
  if (progressed.progress.percent >= 0) message.percent = std::min(100, progressed.progress.percent);
  if (progressed.progress.total_bytes > 0) {
    message.completed_bytes = progressed.progress.completed_bytes;
    message.total_bytes = progressed.progress.total_bytes;
  }
  publish(TopicKind::stream, protocol::encode(message));
}

// Instant executors answer within the effect; their answers are queued as events, not stepped recursively.
void Loop::step(const Event& event) {
  for (auto& effect : agent::step(state_, event, monotonic_now())) perform(effect);
  while (!instant_.empty()) {
    for (auto& finished : std::exchange(instant_, {})) {
      for (auto& effect : agent::step(state_, finished, monotonic_now())) perform(effect);
    }
  }
}

void Loop::perform(Effect& effect) {
  std::visit(
      overloaded{
          [&](StartTask& start) {
            const auto& executor = executors_.at(start.executor);
            Job job{start.key.id,           start.key.attempt, start.capability,
                    std::move(start.input), start.timeout,     start.most_output_bytes};
            if (executor->instant() && !start.input_at) {
              instant_.emplace_back(pool_->run_here(*executor, std::move(job)));
            } else {
              pool_->start(executor, std::move(job), std::move(start.input_at));
            }
          },
          [&](const StopTask& stop) { pool_->stop(stop.key); },
          [&](const SendResults& send) {
            publish_results(send);
            for (const auto& result : send.results) last_progress_.erase({result.id, result.attempt});
          },
          [&](const SendInfo&) { publish(TopicKind::agent_info, protocol::encode(info())); },
          [&](const SendBeat&) { publish_beat(protocol::encode(heartbeat())); },
          [&](const SendTemperature&) { publish(TopicKind::temperature, protocol::encode(temperature_of(state_))); },
          [&](const SendStatus& status) {
            publish(TopicKind::agent_status, protocol::encode(AgentStatus{status.state, state_.session}));
          },
          [&](const SpoolResult& spool) { to_spool_.push_back(spool.key); },
          [&](const UnspoolResult& unspool) { spool_.forget(unspool.key); },
          [&](const FreezeWork& freeze) {
            if (options_.freeze_work) options_.freeze_work(freeze.frozen);
          },
          [&](const KeepForPerson& keep) { keep_for_person(keep.result); },
          [&](const WriteLog& note) { log::write(note.warning ? log::Level::warning : log::Level::info, note.text); },
          [&](const ReadConfiguration&) { read_again_ = true; },
          [&](const EndProgram&) { end_ = true; },
      },
      effect);
}

void Loop::publish_results(const SendResults& send) {
  deliveries_.send(
      send.results,
      [&](const auto& group, std::size_t& first, std::size_t most_bytes) {
        return protocol::encode_results(state_.session, group, first, most_bytes);
      },
      [&](std::string payload, std::uint64_t id, bool alone) {
        publish(TopicKind::results, std::move(payload), id, alone);
      });
}

AgentInfo Loop::info() const {
  AgentInfo all = machine_;
  if (!state_.files_problem.empty()) all.max_task_bytes = 0;
  all.executors = offers_of(state_);
  return all;
}

std::size_t Loop::most_listed() const {
  constexpr std::size_t most_of_task = 200;  // bytes of one in the list
  const std::size_t rest = 1024 + 96 * state_.executors.size();
  return deliveries_.most_bytes() > rest ? (deliveries_.most_bytes() - rest) / most_of_task : 0;
}

// A task that its heartbeats do not list counts as lost.
int Loop::bounded(int max_tasks) {
  const int most = static_cast<int>(std::clamp<std::size_t>(most_listed(), 1, static_cast<std::size_t>(max_tasks)));
  if (most < max_tasks) {
    complaints_.complain("max-held", "the broker takes messages of at most " +
                                         std::to_string(deliveries_.most_bytes()) +
                                         " bytes: this agent holds at most " + std::to_string(most) + " tasks");
  }
  return most;
}

Heartbeat Loop::heartbeat() const {
  Heartbeat beat;
  beat.session = state_.session;
  beat.sequence = state_.beats;
  beat.coordinator = state_.reign;
  beat.n = state_.n;
  beat.uptime = monotonic_now() - began_;
  beat.load = load_average();
  beat.free_memory_bytes = free_memory_bytes();
  beat.free_disk_bytes = reading_.free_disk_bytes;
  beat.gpu_celsius = reading_.gpu_celsius;
  if (state_.status) beat.status_for = monotonic_now() - state_.status_since;
  beat.succeeded = state_.succeeded;
  beat.failed = state_.failed;
  beat.free_slots = free_slots(state_);
  beat.held = held_list(state_, monotonic_now());
  // The results of those that are done are sent again in any case.
  if (beat.held.size() > most_listed()) {
    std::erase_if(beat.held, [](const HeldTask& task) { return task.phase == HeldPhase::done; });
    if (beat.held.size() > most_listed()) beat.held.resize(most_listed());
  }
  beat.clock = wall_now();
  return beat;
}

void Loop::keep_for_person(const TaskResult& result) {
  const std::string text = "the coordinator does not know task " + result.id.str();
  auto kept = agent::keep_for_person(options_.unknown_results, state_.session, result);
  if (kept && result.output_at && options_.artifacts &&
      options_.artifacts->link_to(result.output_at->artifact, *kept + ".output")) {
    *kept += " and .output";
  }
  complaints_.complain("unknown", kept ? text + "; its result is kept in " + *kept
                                       : text + "; its result is lost: " + kept.error().message);
}

void Loop::say_goodbye() {
  if (session_.up()) {
    publish(TopicKind::agent_status, protocol::encode(AgentStatus{AgentState::offline, state_.session}));
    const Time until = monotonic_now() + goodbye;
    while (!session_.idle() && monotonic_now() < until) {
      for (auto& item : inbox_.drain(until)) {
        if (const auto* event = std::get_if<mqtt::ClientEvent>(&item))
          perform_mqtt(session_.on(*event, monotonic_now()));
      }
    }
  }
  client_->disconnect(goodbye);
  client_.reset();
}

// ---- MQTT

void Loop::handle(const mqtt::ClientEvent& event) {
  if (const auto* received = std::get_if<mqtt::Received>(&event)) return receive(received->message);
  if (auto attempts = deliveries_.on(event); !attempts.empty()) {
    step(ResultsRefused{std::move(attempts), std::string(mqtt::ends_connections)});
  }
  perform_mqtt(session_.on(event, monotonic_now()));
}

// Two agents with the same name disconnect each other without end. On a reconnect, each finds the other's last status
// in place of its own; the one with the greater session ends. (At the first connect the status is that of an earlier
// run, and rarely a broker has an outdated one: hence several sightings.)
void Loop::check_name_conflict(const AgentStatus& status) {
  if (status.session == state_.session || connects_ < 2) return;
  const Time now = monotonic_now();
  name_conflicts_.push_back(now);
  while (name_conflicts_.front() + name_conflict_window < now) name_conflicts_.pop_front();
  if (name_conflicts_.size() < name_conflict_limit) return;
  const std::string what = "another agent is connected as " + options_.name.str() + "; give one of them another --name";
  if (state_.session > status.session) {
    fatal_ = what;
  } else {
    complaints_.complain("namesake", what);
  }
}

void Loop::receive(const mqtt::Message& message) {
  const auto topic = topics_.parse(message.topic);
  const auto drop = [&](const std::string& why) {
    complaints_.complain_of("dropped", message.topic, "dropped a message on " + message.topic + ": " + why);
  };
  if (!topic) return drop("unknown topic");
  if (message.payload.size() > limits::payload_bytes) return drop("more than 256 KiB");
  if (topic->kind == TopicKind::coordinator_status) {
    if (message.payload.empty()) return;
    auto status = protocol::decode_coordinator_status(message.payload);
    if (!status) return drop(status.error().message);
    return step(CoordinatorSeen{status->state == protocol::CoordinatorState::online, std::move(status->reign)});
  }
  if (topic->kind == TopicKind::agent_status && topic->agent == options_.name) {
    if (auto status = protocol::decode_agent_status(message.payload)) check_name_conflict(*status);
    return;
  }
  if (topic->kind == TopicKind::control && topic->agent == options_.name) return receive_control(message);
  if (topic->kind != TopicKind::tasks || topic->agent != options_.name) return drop("it is not for this agent");
  auto tasks = protocol::decode_tasks(message.payload);
  if (!tasks) return drop(tasks.error().message);
  for (const auto& bad : tasks->tasks.bad) drop("a task: " + bad);
  step(event_of(std::move(*tasks), topic->capability));
}

void Loop::receive_control(const mqtt::Message& message) {
  auto control = protocol::decode_control(message.payload);
  if (!control) {
    return complaints_.complain_of("dropped", message.topic,
                                   "dropped a message on " + message.topic + ": " + control.error().message);
  }
  for (const auto& bad : control->tasks.bad) {
    complaints_.complain_of("dropped", message.topic, "dropped a part of a message on " + message.topic + ": " + bad);
  }
  if (control->type == protocol::ControlType::describe) return describe(*control);
  if (control->type == protocol::ControlType::upload) return upload_again(*control);
  step(event_of(*control));
}

void Loop::perform_mqtt(mqtt::Actions actions) {
  for (auto& action : actions) {
    std::visit(overloaded{
                   [&](const mqtt::DoConnect&) { client_->connect(); },
                   [&](const mqtt::DoSubscribe&) {
                     client_->subscribe({{topics_.build({TopicKind::tasks, options_.name, {}, {}}), 1},
                                         {topics_.build({TopicKind::control, options_.name, {}, {}}), 1},
                                         {topics_.build({TopicKind::agent_status, options_.name, {}, {}}), 1},
                                         {topics_.build({TopicKind::coordinator_status, {}, {}, {}}), 1}});
                   },
                   [&](const mqtt::DoSend& send) {
                     deliveries_.passed_on(send.message.id);
                     client_->publish(send.message);
                   },
                   [&](const mqtt::TellUp&) {
                     complaints_.complain(
                         "up",
                         "connected to the broker at " + options_.broker.broker + " as agent " + options_.name.str(),
                         log::Level::info);
                     ++connects_;
                     machine_.max_tasks = state_.policy.max_tasks = bounded(max_tasks_);
                     step(LinkUp{});
                   },
                   [&](const mqtt::TellDown& down) {
                     complaints_.complain("down", "lost the connection to the broker: " + down.reason +
                                                      "; tasks continue, reconnecting");
                     step(LinkDown{});
                   },
                   [&](const mqtt::TellRefused& refused) {
                     complaints_.complain("refused", "a message was not sent: " + refused.reason);
                     if (auto attempts = deliveries_.refused(refused.id); !attempts.empty()) {
                       step(ResultsRefused{std::move(attempts), refused.reason});
                     }
                     if (refused.id != 0 && refused.id == large_beat_) hold_fewer();
                   },
                   [&](const mqtt::TellTrouble& trouble) {
                     complaints_.complain("broker", "broker " + options_.broker.broker + ": " + trouble.reason);
                   },
               },
               action);
  }
}

void Loop::publish(TopicKind kind, std::string payload, std::uint64_t id, bool alone) {
  publish(kind, std::move(payload), protocol::rule(kind).qos, id, alone);
}

// A broker with a bound that it does not announce drops a message of QoS 0 in silence, and this agent would count as
// lost. So a heartbeat that may exceed it has QoS 1: if it is refused, this agent holds fewer tasks.
void Loop::publish_beat(std::string payload) {
  constexpr std::size_t surely_taken = 1024;  // most heartbeats are smaller
  if (payload.size() <= surely_taken) return publish(TopicKind::heartbeat, std::move(payload));
  large_beat_ = deliveries_.sent(payload.size());
  large_beat_bytes_ = payload.size();
  publish(TopicKind::heartbeat, std::move(payload), 1, large_beat_, false);
}

// The broker refused a heartbeat. A shorter one is sent at once; tasks that it cannot list are sent to this agent
// again, and ignored because they are held.
void Loop::hold_fewer() {
  machine_.max_tasks = state_.policy.max_tasks = bounded(max_tasks_);
  step(MachineChanged{});
  auto payload = protocol::encode(heartbeat());
  if (payload.size() < large_beat_bytes_) publish_beat(std::move(payload));  // otherwise it cannot be any shorter
}

void Loop::publish(TopicKind kind, std::string payload, int qos, std::uint64_t id, bool alone) {
  const auto& rule = protocol::rule(kind);
  if (payload.size() > limits::payload_bytes) {
    return complaints_.complain("large", "a message of " + std::to_string(payload.size()) + " bytes was not sent");
  }
  perform_mqtt(session_.publish(
      {topics_.build({kind, options_.name, {}, {}}), std::move(payload), qos, rule.retained, {}, {}, id}, alone));
}

}  // namespace edgefleet::agent
