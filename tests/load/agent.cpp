#include "tests/load/agent.hpp"

#include <algorithm>

#include "common/core/overloaded.hpp"
#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "common/system/entropy.hpp"
#include "edge-agent/shell/events.hpp"

namespace edgefleet::load {
namespace {

using protocol::TopicKind;
using namespace std::chrono_literals;

constexpr Duration care_interval = 2s;  // a real agent reads its sensors at this interval
constexpr double longest_run_ms = 600'000;

// The run time in the input of the task; by default zero.
Duration run_time(const JsonText& input) {
  const auto object = json::Object::read(input);
  const auto member = object ? object->find("run_ms") : std::nullopt;
  const double ms = member ? json::as_number(*member).value_or(0) : 0;
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::milli>(std::clamp(ms, 0.0, longest_run_ms)));
}

}  // namespace

SimulatedAgent::SimulatedAgent(const Setting& setting, AgentName name, const mqtt::TlsFiles& tls, std::uint64_t seed,
                               Counters& counters)
    : setting_(setting),
      counters_(counters),
      random_(seed),
      state_(std::move(name), new_session_id(), agent::HeatLimits{}),
      session_(seed),
      connection_(options_for(setting, tls), setting.host, setting.port,
                  [this](mqtt::ClientEvent event) { received_.push_back(std::move(event)); }) {}

mqtt::Options SimulatedAgent::options_for(const Setting& setting, const mqtt::TlsFiles& tls) const {
  mqtt::Options options;
  options.tls = tls;
  options.client_id = "edgefleet-" + setting.fleet.str() + "-agent-" + state_.name.str();
  options.will = mqtt::Message{setting.topics.build({TopicKind::agent_status, state_.name, {}, {}}),
                               protocol::encode(AgentStatus{AgentState::lost, state_.session}), 1, true};
  return options;
}

void SimulatedAgent::start(Time now) {
  began_ = now;
  next_care_ = now;
  ExecutorInfo executor;
  executor.name = *ExecutorName::parse("simulated");
  executor.capabilities = {setting_.capability};
  executor.slots = setting_.slots;
  step(agent::OfferChanged{executor, false}, now);
  perform_mqtt(session_.start(now), now);
}

void SimulatedAgent::connect() {
  needs_connection_ = false;
  connecting_ = true;
  connection_.connect();
}

// Like the loop of a real agent. Answers of the broker to messages sent here belong to this turn.
void SimulatedAgent::take_turn(Time now) {
  if (now >= next_care_) care(now);
  do {
    for (auto& event : std::exchange(received_, {})) {
      if (const auto* received = std::get_if<mqtt::Received>(&event)) {
        receive(received->message, now);
      } else {
        perform_mqtt(session_.on(event, now), now);
      }
    }
    finish_due(now);
    perform_mqtt(session_.tick(now), now);
    step(agent::Tick{}, now);
    step(agent::Flush{}, now);
  } while (!received_.empty());
  counters_.dropped += session_.dropped() - std::exchange(dropped_, session_.dropped());
}

Time SimulatedAgent::wake_at() const {
  Time at = std::min(agent::next_deadline(state_), next_care_);
  if (const auto tick = session_.next_tick()) at = std::min(at, *tick);
  for (const auto& [key, run] : runs_) at = std::min(at, run.ends);
  return at;
}

// A cool board with changing values: a sensor that never changes counts as broken.
void SimulatedAgent::care(Time now) {
  next_care_ = now + care_interval;
  connection_.care();
  celsius_ = std::clamp(celsius_ + std::uniform_real_distribution<>(-1, 1)(random_), 40.0, 65.0);
  step(agent::TemperatureRead{{{"thermal_zone0 (cpu-thermal)", true, celsius_ * 1000, ""}}, {}, 0.5}, now);
}

// ---- the simulated executor

void SimulatedAgent::begin(const agent::StartTask& start, Time now) {
  ++counters_.started;
  if (counters_.first_start_ns == 0) counters_.first_start_ns = monotonic_now().time_since_epoch().count();
  runs_[start.key] = Run{now, now + run_time(start.input), start.input};
}

void SimulatedAgent::finish_due(Time now) {
  std::vector<agent::Finished> over;
  for (auto run = runs_.begin(); run != runs_.end();) {
    if (run->second.ends > now) {
      ++run;
      continue;
    }
    agent::Finished finished;
    finished.key = run->first;
    finished.output = std::move(run->second.input);
    finished.run = now - run->second.began;
    over.push_back(std::move(finished));
    run = runs_.erase(run);
  }
  counters_.finished += over.size();
  for (const auto& finished : over) step(finished, now);
}

// ---- the core

void SimulatedAgent::step(const agent::Event& event, Time now) {
  for (const auto& effect : agent::step(state_, event, now)) perform(effect, now);
}

void SimulatedAgent::perform(const agent::Effect& effect, Time now) {
  std::visit(overloaded{
                 [&](const agent::StartTask& start) { begin(start, now); },
                 [&](const agent::StopTask& stop) {
                   ++counters_.stopped;
                   runs_.erase(stop.key);
                   agent::Finished finished;
                   finished.key = stop.key;
                   finished.error = TaskError{"cancelled", "stopped", false, {}};
                   step(finished, now);
                 },
                 [&](const agent::SendResults& send) {
                   for (const auto& result : send.results) {
                     if (result.status == ResultStatus::returned) ++counters_.returned;
                   }
                   for (std::size_t first = 0; first < send.results.size();) {
                     publish(TopicKind::results, protocol::encode_results(state_.session, send.results, first), now);
                   }
                 },
                 [&](const agent::SendInfo&) { publish(TopicKind::agent_info, protocol::encode(info()), now); },
                 [&](const agent::SendBeat&) {
                   ++counters_.beats;
                   publish(TopicKind::heartbeat, protocol::encode(heartbeat(now)), now);
                 },
                 [&](const agent::SendTemperature&) {
                   publish(TopicKind::temperature, protocol::encode(temperature_of(state_)), now);
                 },
                 [&](const agent::SendStatus& status) {
                   publish(TopicKind::agent_status, protocol::encode(AgentStatus{status.state, state_.session}), now);
                 },
                 [&](const agent::SpoolResult&) { ++counters_.spooled; },
                 [&](const agent::KeepForPerson&) { ++counters_.unknown; },
                 [](const agent::UnspoolResult&) {},
                 [](const agent::FreezeWork&) {},
                 [](const agent::WriteLog&) {},
                 [](const agent::ReadConfiguration&) {},
                 [](const agent::EndProgram&) {},
             },
             effect);
}

AgentInfo SimulatedAgent::info() const {
  AgentInfo info;
  info.session = state_.session;
  info.version = EDGEFLEET_VERSION;
  info.board = "Raspberry Pi 4 Model B Rev 1.4";
  info.arch = "aarch64";
  info.os = "Debian GNU/Linux 12 (bookworm)";
  info.cpus = 4;
  info.memory_bytes = 3'981'533'184;
  info.max_tasks = state_.policy.max_tasks;
  info.labels = {{"arch", "aarch64"}, {"board", "pi4"}, {"os", "debian-12"}};
  info.executors = offers_of(state_);
  return info;
}

Heartbeat SimulatedAgent::heartbeat(Time now) const {
  Heartbeat beat;
  beat.session = state_.session;
  beat.sequence = state_.beats;
  beat.coordinator = state_.reign;
  beat.n = state_.n;
  beat.uptime = now - began_;
  beat.load = 0.5;
  beat.free_memory_bytes = 2'147'483'648;
  beat.free_slots = free_slots(state_);
  beat.held = held_list(state_, now);
  beat.clock = wall_now();  // the coordinator has the same clock: the skew that it shows is the delay of the heartbeat
  return beat;
}

// ---- MQTT

void SimulatedAgent::receive(const mqtt::Message& message, Time now) {
  ++counters_.received;
  const auto topic = setting_.topics.parse(message.topic);
  if (!topic) {
    ++counters_.bad;
    return;
  }
  if (topic->kind == TopicKind::tasks) return receive_tasks(*topic, message, now);
  if (topic->kind == TopicKind::control) return receive_control(message, now);
  if (topic->kind != TopicKind::coordinator_status || message.payload.empty()) return;
  auto status = protocol::decode_coordinator_status(message.payload);
  if (!status) {
    ++counters_.bad;
    return;
  }
  step(agent::CoordinatorSeen{status->state == protocol::CoordinatorState::online, std::move(status->reign)}, now);
}

void SimulatedAgent::receive_tasks(const protocol::Topic& topic, const mqtt::Message& message, Time now) {
  auto tasks = protocol::decode_tasks(message.payload);
  counters_.bad += tasks ? tasks->tasks.bad.size() : 1;
  if (!tasks) return;
  step(agent::event_of(std::move(*tasks), topic.capability), now);
}

void SimulatedAgent::receive_control(const mqtt::Message& message, Time now) {
  auto control = protocol::decode_control(message.payload);
  counters_.bad += control ? control->tasks.bad.size() : 1;
  if (!control) return;
  step(agent::event_of(*control), now);
}

void SimulatedAgent::perform_mqtt(mqtt::Actions actions, Time now) {
  const auto filter = [&](TopicKind kind) {
    const bool own = kind != TopicKind::coordinator_status;
    return mqtt::Subscription{setting_.topics.build({kind, own ? state_.name : AgentName{}, {}, {}}), 1};
  };
  for (auto& action : actions) {
    std::visit(overloaded{
                   [&](const mqtt::DoConnect&) {
                     needs_connection_ = true;
                     connecting_ = false;  // not yet
                   },
                   [&](const mqtt::DoSubscribe&) {
                     connection_.subscribe({filter(TopicKind::tasks), filter(TopicKind::control),
                                            filter(TopicKind::agent_status), filter(TopicKind::coordinator_status)});
                   },
                   [&](const mqtt::DoSend& send) {
                     ++counters_.sent;
                     connection_.publish(send.message);
                   },
                   [&](const mqtt::TellUp&) {
                     ++counters_.up;
                     ++counters_.connects;
                     step(agent::LinkUp{}, now);
                   },
                   [&](const mqtt::TellDown&) {
                     --counters_.up;
                     ++counters_.losses;
                     step(agent::LinkDown{}, now);
                   },
                   [](const mqtt::TellTrouble&) {},
                   [](const mqtt::TellRefused&) {},
               },
               action);
  }
}

void SimulatedAgent::publish(TopicKind kind, std::string payload, Time now) {
  const auto& rule = protocol::rule(kind);
  perform_mqtt(session_.publish(
                   {setting_.topics.build({kind, state_.name, {}, {}}), std::move(payload), rule.qos, rule.retained}),
               now);
}

}  // namespace edgefleet::load
