#include "coordinator/shell/mqtt_link.hpp"

#include <utility>

#include "common/core/overloaded.hpp"
#include "common/files/text_digest.hpp"
#include "common/protocol/artifacts.hpp"
#include "common/protocol/problem.hpp"
#include "common/protocol/submission.hpp"
#include "common/system/clock.hpp"
#include "common/system/entropy.hpp"
#include "coordinator/core/fleet.hpp"
#include "coordinator/core/start_check.hpp"
#include "coordinator/core/submitter.hpp"
#include "coordinator/core/tasks.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator {

using protocol::Topic;
using protocol::TopicKind;

namespace {

constexpr std::size_t most_reply_bytes = 1024;  // of a response topic and its correlation data, which are kept
// Each result of a task that is not in memory costs a look into the store. An agent holds at most 1,024 results, and
// sends those again that were not acknowledged.
constexpr double lookup_burst = 1024;
constexpr Duration lookup_spacing = std::chrono::milliseconds(20);
constexpr std::size_t most_lookups_of = 20'000;  // agents
constexpr int session_taken_over = 142;  // MQTT 5's reason code
constexpr Duration just_connected = std::chrono::seconds(2);
constexpr std::size_t longest_retained_list = 200UL << 10U;  // agents ask for a longer one over HTTPS
// After a connect: until then the list that the broker has kept is seen, and stays if this program dies.
constexpr Duration before_first_list = std::chrono::seconds(2);
constexpr std::size_t replies_ahead = 64;  // passed to the connection before they can be sent

// The bytes that a message counts against the bound on the inbox.
std::size_t weight(const mqtt::Message& message) {
  return message.topic.size() + message.payload.size() + message.response_topic.size() +
         message.correlation_data.size();
}

// One that is known may still do so.
bool says_that_it_is_gone(const State& state, const Topic& topic, const mqtt::Message& message) {
  if (topic.kind != TopicKind::agent_status || agent_by_name(state, topic.agent) == nullptr) return false;
  const auto status = protocol::decode_agent_status(message.payload);
  return status && (status->state == AgentState::lost || status->state == AgentState::offline);
}

}  // namespace

MqttLink::MqttLink(Options options, const Parts& parts, Intake intake)
    : options_(std::move(options)),
      engine_(parts.engine),
      requests_(parts.requests),
      store_(parts.store),
      artifacts_(parts.artifacts),
      hub_(parts.hub),
      rules_(parts.rules),
      complaints_(parts.complaints),
      intake_(std::move(intake)),
      topics_(options_.fleet),
      replies_(parts.complaints, [this] { return deliveries_.most_bytes(); }),
      result_files_(parts.artifacts),
      session_(random_seed()),
      inbox_(options_.inbox, options_.inbox_bytes) {}

Status MqttLink::start(const mqtt::MakeClient& make_client) {
  const Reign& reign = engine_.state().reign;
  // Includes the session: with one client id, the broker would disconnect the first coordinator before it sees the
  // second.
  options_.broker.client_id = "edgefleet-" + options_.fleet.str() + "-coordinator-" + reign.session.str();
  options_.broker.will =
      mqtt::Message{topics_.build({TopicKind::coordinator_status, {}, {}, {}}),
                    protocol::encode(protocol::CoordinatorStatus{protocol::CoordinatorState::lost, reign}),
                    1,
                    true,
                    {},
                    {}};
  auto client = make_client(options_.broker, [this](mqtt::ClientEvent event) { on_event(std::move(event)); });
  if (!client) return client.error();
  client_ = std::move(*client);
  act(session_.start(monotonic_now()));
  return success();
}

void MqttLink::tick() {
  for (auto& refused : std::exchange(refused_, {})) engine_.step(std::move(refused));
  if (!thrown_out_) act(session_.tick(monotonic_now()));
  beat();
  announce_revocations();
}

void MqttLink::announce_revocations() {
  if (!options_.revocations.own || !session_.up() || monotonic_now() < announce_from_ || engine_.state().over) return;
  auto list = options_.revocations.own();
  if (list == announced_) return;
  announced_ = std::move(list);
  if (!announced_ || announced_->size() > longest_retained_list) return;
  publish({TopicKind::coordinator_crl, {}, {}, {}}, *announced_);
}

void MqttLink::take_revocations(const mqtt::Message& message) {
  const bool own = announced_ && *announced_ == message.payload;
  if (!own && options_.revocations.seen) options_.revocations.seen(message.payload);
}

// So that another coordinator that starts knows of this one: see StartCheck.
void MqttLink::beat() {
  const Time now = monotonic_now();
  if (!session_.up() || now < next_beat_ || engine_.state().over) return;
  next_beat_ = now + coordinator_beat_interval;
  publish({TopicKind::coordinator_beat, {}, {}, {}},
          protocol::encode(protocol::CoordinatorBeat{store_identity_, engine_.state().reign}));
}

std::optional<Time> MqttLink::next_tick() const {
  if (!refused_.empty()) return monotonic_now();
  if (thrown_out_) return std::nullopt;
  return session_.up() ? std::optional(next_beat_) : session_.next_tick();
}

// ---- in, on the client's thread

// The sender repeats dropped messages (results, heartbeats); a task without an answer was not accepted.
void MqttLink::on_event(mqtt::ClientEvent&& event) {
  const auto* received = std::get_if<mqtt::Received>(&event);
  if (received == nullptr) return intake_.insist(std::move(event));
  if (const auto topic = topics_.parse(received->message.topic); topic && topic->kind == TopicKind::stream) {
    return take_part(topic->agent, received->message);
  }
  const std::string sender = sender_of(received->message);
  const std::size_t bytes = weight(received->message);
  if (inbox_.reserve(sender, bytes, !sender.starts_with('/'))) {
    if (intake_.offer(std::move(event))) return;
    inbox_.release(sender, bytes);
  }
  ++dropped_;
}

// The agent or the client whose topic it is: `pi-1/` or `/desk`.
std::string MqttLink::sender_of(const mqtt::Message& message) const {
  const auto topic = topics_.parse(message.topic);
  return topic ? topic->agent.str() + "/" + topic->client.str() : std::string();
}

void MqttLink::release(const mqtt::Message& message) { inbox_.release(sender_of(message), weight(message)); }

// Partial output bypasses the inbox and the core: a flood of it delays no task.
void MqttLink::take_part(const AgentName& agent, const mqtt::Message& message) {
  if (!hub_.anybody()) return;
  if (const auto part = protocol::decode_stream(message.payload)) hub_.publish(agent, *part);
}

// ---- in, on the loop's thread

void MqttLink::notice_drops() {
  const auto dropped = dropped_.load() + session_.dropped();
  if (dropped == dropped_reported_) return;
  complaints_.complain("inbox", std::to_string(dropped - dropped_reported_) +
                                    " messages were dropped, because more arrived than could be handled or sent");
  dropped_reported_ = dropped;
}

void MqttLink::handle(const mqtt::ClientEvent& event) {
  if (const auto* received = std::get_if<mqtt::Received>(&event)) {
    release(received->message);
    return receive(received->message);
  }
  take(event);
}

void MqttLink::take(const mqtt::ClientEvent& event) {
  if (auto attempts = deliveries_.on(event); !attempts.empty()) {
    refused_.push_back({std::move(attempts), std::string(mqtt::ends_connections)});
  }
  notice_takeover(event);
  act(session_.on(event, monotonic_now()));
  replies_.on(event);  // after the session, which tells what was refused
}

// Where the broker has checked names, all coordinators have one; otherwise the client id is this session's own.
// Mosquitto 2.0.11 does not say why it ends a connection, so one that has just begun counts too.
void MqttLink::notice_takeover(const mqtt::ClientEvent& event) {
  if (!options_.submitter_of) return;
  if (std::holds_alternative<mqtt::Connected>(event)) connected_at_ = monotonic_now();
  const auto* lost = std::get_if<mqtt::ConnectionLost>(&event);
  if (lost == nullptr) return;
  thrown_out_ = lost->code == session_taken_over || monotonic_now() - connected_at_ < just_connected;
}

// Only messages are unbounded; other events are connection events, and the connection could not be re-established
// without them.
bool MqttLink::keep(const mqtt::ClientEvent& event, bool room, const Error& why) {
  if (std::holds_alternative<mqtt::Delivered>(event)) {
    take(event);
    return false;
  }
  const auto* received = std::get_if<mqtt::Received>(&event);
  if (received == nullptr) return true;
  const auto topic = topics_.parse(received->message.topic);
  const bool submit = topic && topic->kind == TopicKind::submit;
  if (!submit && room) return true;
  release(received->message);
  if (!submit) {
    ++dropped_;
  } else if (can_be_answered(*topic, received->message)) {
    replies_.refuse(received->message, why);
  }
  return false;
}

template <typename T, typename MakeEvent>
void MqttLink::decoded(const mqtt::Message& message, Result<T> payload, MakeEvent make) {
  if (payload) return engine_.step(make(std::move(*payload)));
  complain_of("a message", message, payload.error().message);
}

void MqttLink::complain_of(const std::string& what, const mqtt::Message& message, const std::string& why) {
  complaints_.complain_of("dropped", message.topic, "dropped " + what + " on " + message.topic + ": " + why);
}

void MqttLink::receive(const mqtt::Message& message) {
  const auto topic = topics_.parse(message.topic);
  if (!topic) return complaints_.complain("topic", "dropped a message on an unknown topic: " + message.topic);
  if (message.payload.empty() && protocol::rule(topic->kind).retained) return;  // a retained message is removed
  const std::size_t most = topic->kind == TopicKind::agent_info ? limits::info_bytes : limits::payload_bytes;
  if (message.payload.size() > most) {
    if (topic->kind == TopicKind::submit && can_be_answered(*topic, message)) {
      return replies_.refuse(message, protocol::too_large("the message", message.payload.size(), most));
    }
    return complain_of("a message", message,
                       std::to_string(message.payload.size()) + " bytes; the limit is " + std::to_string(most));
  }
  dispatch(*topic, message);
}

void MqttLink::dispatch(const Topic& topic, const mqtt::Message& message) {
  const auto& agent = topic.agent;
  const auto& payload = message.payload;
  if (!agent.str().empty() && options_.agent_rules.admits && !options_.agent_rules.admits(agent) &&
      !says_that_it_is_gone(engine_.state(), topic, message)) {
    return complain_of("a message", message, agent.str() + " is not an enrolled agent, or its certificate has ended");
  }
  switch (topic.kind) {
    case TopicKind::agent_status:
      return decoded(message, protocol::decode_agent_status(payload),
                     [&](AgentStatus status) { return AgentStatusSeen{agent, std::move(status), !message.retained}; });
    case TopicKind::agent_info:
      return decoded(message, protocol::decode_agent_info(payload), [&](protocol::AgentInfoMessage read) {
        for (const auto& bad : read.bad) complain_of("an executor", message, bad);
        keep_to_rules(agent, read.info, message);
        return AgentInfoSeen{agent, std::move(read.info)};
      });
    case TopicKind::heartbeat:
      return decoded(message, protocol::decode_heartbeat(payload),
                     [&](Heartbeat beat) { return HeartbeatSeen{agent, std::move(beat)}; });
    case TopicKind::temperature:
      return decoded(message, protocol::decode_temperature(payload),
                     [&](Temperature temperature) { return TemperatureSeen{agent, std::move(temperature)}; });
    case TopicKind::parameters:
      return take_parameters(agent, message);
    case TopicKind::results:
      return decoded(message, protocol::decode_results(payload), [&](protocol::ResultsMessage results) {
        for (const auto& bad : results.results.bad) complain_of("a result", message, bad);
        const auto incomplete = result_files_.take_incomplete(
            results.results.good, [&](const AttemptKey& key) { return awaits(engine_.state(), agent, key); });
        if (!incomplete.empty()) send_control(agent, protocol::ControlType::upload, incomplete);
        return ResultsSeen{agent, std::move(results.results.good)};
      });
    case TopicKind::coordinator_status:
      return decoded(message, protocol::decode_coordinator_status(payload), [&](protocol::CoordinatorStatus status) {
        return CoordinatorSeen{status.state == protocol::CoordinatorState::online, std::move(status.reign),
                               !message.retained};
      });
    case TopicKind::coordinator_crl:
      return take_revocations(message);
    case TopicKind::submit:
      return take_submission(topic, message);
    case TopicKind::tasks:
    case TopicKind::stream:
    case TopicKind::control:
    case TopicKind::reply:
    case TopicKind::coordinator_beat:
      return;  // not subscribed
  }
}

// What an agent was not enrolled for is not believed.
void MqttLink::keep_to_rules(const AgentName& agent, AgentInfo& info, const mqtt::Message& message) {
  if (!options_.agent_rules.may_offer) return;
  for (ExecutorInfo& executor : info.executors) {
    const auto removed = std::erase_if(executor.capabilities, [&](const Capability& capability) {
      return !options_.agent_rules.may_offer(agent, capability);
    });
    if (removed > 0) {
      complain_of("an executor", message, executor.name.str() + " offers what the agent was not enrolled for");
    }
  }
}

// What does not have the content that its digest names is not believed.
void MqttLink::take_parameters(const AgentName& agent, const mqtt::Message& message) {
  const auto read = protocol::decode_parameters(message.payload);
  if (!read) return complain_of("a message", message, read.error().message);
  for (const auto& bad : read->parameters.bad) complain_of("a description", message, bad);
  ParametersSeen event{agent, {}};
  for (const auto& [digest, schema] : read->parameters.good) {
    const auto usable = protocol::Schema::compile(schema);
    if (!usable || text_digest(schema) != digest) {
      complain_of("a description", message, usable ? "it is not what its digest names" : usable.error().message);
    } else {
      event.schemas.emplace_back(digest, schema);
    }
  }
  if (!event.schemas.empty()) engine_.step(event);
}

// An answer goes only to a topic of the client that submitted.
bool MqttLink::can_be_answered(const Topic& topic, const mqtt::Message& message) {
  const auto drop = [&](const std::string& why) {
    complaints_.complain_of("submit", topic.client.str(), "dropped a task on " + message.topic + ": " + why);
    return false;
  };
  const auto reply = topics_.parse(message.response_topic);
  if (!reply || reply->kind != TopicKind::reply || reply->client != topic.client ||
      message.response_topic.find_first_of("+#") != std::string::npos) {
    return drop("its response topic is not below " + topics_.build({TopicKind::reply, {}, {}, topic.client}));
  }
  // The broker would deliver it again at each start of the coordinator.
  if (message.retained) return drop("it is retained; publish tasks without that flag");
  if (message.response_topic.size() + message.correlation_data.size() > most_reply_bytes) {
    return drop("its response topic and correlation data exceed " + std::to_string(most_reply_bytes) + " bytes");
  }
  return true;
}

void MqttLink::take_submission(const Topic& topic, const mqtt::Message& message) {
  if (!can_be_answered(topic, message)) return;
  auto submission = protocol::decode_submission(message.payload);
  if (!submission) return replies_.refuse(message, submission.error());
  const auto allowed = rules_.check(submission->spec.capability, submission->spec.input);
  if (!allowed) return replies_.refuse(message, allowed.error());
  auto submitter = options_.submitter_of ? options_.submitter_of(topic.client.str())
                                         : Result<std::string>("mqtt:" + topic.client.str());
  if (!submitter) return replies_.refuse(message, submitter.error());
  const std::string client = *submitter;
  if (replies_.full(client)) {
    return replies_.refuse(message,
                           Error{"too many requests are waiting for their outcome; try again later", ErrorKind::busy});
  }
  const mqtt::Message request{{}, {}, 1, false, message.response_topic, message.correlation_data};
  SubmitRequest submit{std::move(*submitter), {std::move(submission->spec), submission->idempotency_key}, {}};
  submit.check = [this, named = protocol::artifacts_in(submit.task.spec.input)]() -> Status {
    for (const auto& artifact : named) {
      if (auto leased = artifacts_.lease(artifact); !leased) return Error{leased.error().message, ErrorKind::invalid};
    }
    return success();
  };
  submit.answer = [this, request, client,
                   accepted_only = submission->answer_accepted](const Result<Acceptance>& accepted) {
    if (accepted && !accepted_only) return answer_when_ended(accepted->id, client, request);
    replies_.answered(client);
    if (!accepted) return replies_.refuse(request, accepted.error());
    replies_.reply(request, acceptance_view(*accepted));
  };
  replies_.expect(client);
  requests_.take(std::move(submit));
}

// For a task that may have ended long ago: an idempotent repetition.
void MqttLink::answer_when_ended(const TaskId& id, const std::string& client, const mqtt::Message& request) {
  const auto alive = engine_.state().tasks.find(id);
  if (alive != engine_.state().tasks.end() && !ended(alive->second.record.state)) {
    return replies_.when_ended(id, client, request);
  }
  replies_.answered(client);
  const auto record = store_.reads().task(id);
  if (record && *record) return replies_.reply_outcome(request, **record);
  replies_.refuse(request, record ? Error{"the task no longer exists", ErrorKind::not_found} : record.error());
}

// ---- out

void MqttLink::act(mqtt::Actions actions) {
  for (auto& action : actions) {
    std::visit(overloaded{
                   [&](const mqtt::DoConnect&) { client_->connect(); },
                   [&](const mqtt::DoSubscribe& subscribe) { act(subscribe); },
                   [&](const mqtt::DoSend& send) {
                     deliveries_.passed_on(send.message.id);
                     client_->publish(send.message);
                   },
                   [&](const mqtt::TellUp& up) { act(up); },
                   [&](const mqtt::TellDown& down) { act(down); },
                   [&](const mqtt::TellRefused& refused) { act(refused); },
                   [&](const mqtt::TellTrouble& trouble) {
                     complaints_.complain("broker", "broker " + options_.broker.broker + ": " + trouble.reason);
                   },
               },
               action);
  }
}

void MqttLink::act(const mqtt::DoSubscribe&) {
  std::vector<mqtt::Subscription> all;
  for (const auto kind :
       {TopicKind::coordinator_status, TopicKind::agent_info, TopicKind::heartbeat, TopicKind::temperature,
        TopicKind::agent_status, TopicKind::parameters, TopicKind::results, TopicKind::submit, TopicKind::stream}) {
    all.push_back({topics_.build({kind, {}, {}, {}}), protocol::rule(kind).qos});
  }
  if (options_.revocations.own) {
    const auto kind = TopicKind::coordinator_crl;
    all.push_back({topics_.build({kind, {}, {}, {}}), protocol::rule(kind).qos});
  }
  client_->subscribe(all);
}

void MqttLink::act(const mqtt::TellUp&) {
  complaints_.complain(
      "up",
      "connected to the broker at " + options_.broker.broker + ", epoch " + std::to_string(engine_.state().reign.epoch),
      log::Level::info);
  up_ = true;
  announced_.reset();
  announce_from_ = monotonic_now() + before_first_list;
  engine_.step(BrokerUp{});
}

void MqttLink::act(const mqtt::TellDown& down) {
  complaints_.complain("down", "lost the connection to the broker: " + down.reason + "; reconnecting");
  up_ = false;
  engine_.step(BrokerDown{});
}

void MqttLink::act(const mqtt::TellRefused& refused) {
  complaints_.complain("refused", "broker " + options_.broker.broker + ": a message was not sent: " + refused.reason);
  if (auto attempts = deliveries_.refused(refused.id); !attempts.empty()) {
    refused_.push_back({std::move(attempts), refused.reason});
  }
  replies_.refused(refused.id, refused.reason);
}

// An answer is kept while the broker is unreachable, because its task was accepted; other messages are not.
void MqttLink::send_replies() {
  while (!replies_.empty() && session_.up() && session_.waiting() < replies_ahead) {
    act(session_.publish(replies_.take(deliveries_.new_id())));
  }
}

void MqttLink::publish(const Topic& topic, std::string payload, std::uint64_t id, bool alone) {
  const auto& rule = protocol::rule(topic.kind);
  act(session_.publish({topics_.build(topic), std::move(payload), rule.qos, rule.retained, {}, {}, id}, alone));
}

void MqttLink::publish_status(protocol::CoordinatorState state) {
  publish({TopicKind::coordinator_status, {}, {}, {}},
          protocol::encode(protocol::CoordinatorStatus{state, engine_.state().reign}));
}

void MqttLink::perform(const SendTasks& send) {
  std::vector<protocol::TaskElement> elements;
  elements.reserve(send.tasks.size());
  const State& state = engine_.state();
  for (const AttemptKey& key : send.tasks) {
    const auto task = state.tasks.find(key.id);
    if (task == state.tasks.end()) continue;
    const TaskSpec& spec = task->second.record.spec;
    hub_.given(key.id, key.attempt, send.agent);
    elements.push_back(
        {key.id, key.attempt, spec.input, spec.timeout, executor_of(state, task->second, key.attempt), spec.input_at});
  }
  deliveries_.send(
      std::move(elements),
      [&](const auto& group, std::size_t& first, std::size_t most_bytes) {
        return protocol::encode_tasks(state.reign, send.n, state.policy.max_task_bytes, group, first, most_bytes);
      },
      [&](std::string payload, std::uint64_t id, bool alone) {
        publish({TopicKind::tasks, send.agent, send.capability, {}}, std::move(payload), id, alone);
      });
}

void MqttLink::perform(const SendAcknowledge& send) {
  control(send.agent, protocol::ControlType::acknowledge, send.tasks, send.unknown);
}
void MqttLink::perform(const SendCancel& send) { control(send.agent, protocol::ControlType::cancel, send.tasks); }
void MqttLink::perform(const SendRecall& send) { control(send.agent, protocol::ControlType::recall, send.tasks); }
void MqttLink::perform(const SendDrain& send) {
  control(send.agent, send.drain ? protocol::ControlType::drain : protocol::ControlType::resume, {});
}
void MqttLink::perform(const SendReload& send) { control(send.agent, protocol::ControlType::reload, {}); }
void MqttLink::perform(const SendIntroduce& send) { control(send.agent, protocol::ControlType::introduce, {}); }

void MqttLink::perform(const SendDescribe& send) {
  publish({TopicKind::control, send.agent, {}, {}}, protocol::encode_describe(engine_.state().reign, send.digests));
}

// An empty retained message removes the one that the broker keeps.
void MqttLink::perform(const ForgetAgent& forget) {
  for (const auto kind : {TopicKind::agent_status, TopicKind::agent_info, TopicKind::temperature}) {
    if (protocol::rule(kind).retained) publish({kind, forget.agent, {}, {}}, {});
  }
}

void MqttLink::perform(const AnnounceReign&) { publish_status(protocol::CoordinatorState::online); }

void MqttLink::perform(const AskStore& ask) {
  std::vector<AttemptKey> known;
  std::vector<AttemptKey> unknown;
  if (lookups_.size() >= most_lookups_of && !lookups_.contains(ask.agent)) lookups_.clear();
  TokenBucket& credit = lookups_[ask.agent];
  for (const AttemptKey& key : ask.tasks) {
    if (!credit.take(monotonic_now(), lookup_burst, lookup_spacing)) {
      complaints_.complain_of(
          "lookups", ask.agent.str(),
          "agent " + ask.agent.str() +
              " sends results of tasks that have ended, or are unknown, too often: some are ignored");
      break;
    }
    const auto record = store_.reads().task(key.id);
    if (!record) return complaints_.complain("store", record.error().message);  // its sender asks again
    (*record ? known : unknown).push_back(key);
  }
  if (!known.empty()) control(ask.agent, protocol::ControlType::acknowledge, known);
  if (unknown.empty()) return;
  complaints_.complain("unknown results", "agent " + ask.agent.str() + " has results of " +
                                              std::to_string(unknown.size()) +
                                              " tasks that are unknown to this coordinator");
  control(ask.agent, protocol::ControlType::acknowledge, unknown, true);
}

void MqttLink::control(const AgentName& agent, protocol::ControlType type, const std::vector<AttemptKey>& tasks,
                       bool unknown) {
  std::vector<protocol::AttemptRef> refs;
  refs.reserve(tasks.size());
  for (const AttemptKey& key : tasks) refs.push_back({key.id, key.attempt, unknown, {}});
  send_control(agent, type, refs);
}

void MqttLink::send_control(const AgentName& agent, protocol::ControlType type,
                            const std::vector<protocol::AttemptRef>& refs) {
  std::size_t first = 0;
  do {
    publish({TopicKind::control, agent, {}, {}},
            protocol::encode_control(engine_.state().reign, type, refs, first, deliveries_.most_bytes()));
  } while (first < refs.size());
}

// ---- the end

void MqttLink::publish_offline() {
  if (session_.up()) publish_status(protocol::CoordinatorState::offline);
}

void MqttLink::disconnect(Duration patience) {
  if (client_ == nullptr) return;
  client_->disconnect(patience);
  client_.reset();
}

}  // namespace edgefleet::coordinator
