// The loop's side of the broker: messages become events, effects become messages.
#include "common/core/overloaded.hpp"
#include "common/protocol/json.hpp"
#include "common/protocol/submission.hpp"
#include "coordinator/http/views.hpp"
#include "coordinator/shell/loop.hpp"
#include "coordinator/store/attempts.hpp"

namespace edgefleet::coordinator {

using protocol::Topic;
using protocol::TopicKind;

namespace {

constexpr std::size_t most_mqtt_requests = 10'000;  // tasks handed in over MQTT whose answer is still to come
constexpr std::size_t most_refusals = 5'000;        // beyond those; more are not answered
constexpr std::size_t most_correlation_data = 1024;
constexpr std::size_t replies_ahead = 4'096;  // given to the connection before they can be sent

}  // namespace

// ---- MQTT, in

void Loop::handle(const mqtt::ClientEvent& event) {
  if (const auto* received = std::get_if<mqtt::Received>(&event)) {
    inbox_bytes_ -= weight(received->message);
    return receive(received->message);
  }
  perform_mqtt(session_.on(event, monotonic_now()));
}

template <typename T, typename MakeEvent>
void Loop::decoded(const mqtt::Message& message, Result<T> payload, MakeEvent make) {
  if (payload) return step(make(std::move(*payload)));
  complaints_.complain(message.topic, "dropped a message on " + message.topic + ": " + payload.error().message);
}

void Loop::receive(const mqtt::Message& message) {
  const auto topic = topics_.parse(message.topic);
  if (!topic) return complaints_.complain("topic", "dropped a message on an unknown topic: " + message.topic);
  if (message.payload.empty() && message.retained) return;  // a retained message that was removed
  if (message.payload.size() > limits::payload_bytes) {
    return complaints_.complain(message.topic, "dropped a message on " + message.topic + ": " +
                                                   std::to_string(message.payload.size()) + " bytes, the bound is " +
                                                   std::to_string(limits::payload_bytes));
  }
  const auto& agent = topic->agent;
  const auto& payload = message.payload;
  switch (topic->kind) {
    case TopicKind::agent_status:
      return decoded(message, protocol::decode_agent_status(payload),
                     [&](AgentStatus status) { return AgentStatusSeen{agent, std::move(status)}; });
    case TopicKind::agent_info:
      return decoded(message, protocol::decode_agent_info(payload), [&](protocol::AgentInfoMessage read) {
        for (const auto& bad : read.bad) {
          complaints_.complain(message.topic, "dropped an executor on " + message.topic + ": " + bad);
        }
        return AgentInfoSeen{agent, std::move(read.info)};
      });
    case TopicKind::heartbeat:
      return decoded(message, protocol::decode_heartbeat(payload),
                     [&](Heartbeat beat) { return HeartbeatSeen{agent, std::move(beat)}; });
    case TopicKind::temperature:
      return decoded(message, protocol::decode_temperature(payload),
                     [&](Temperature temperature) { return TemperatureSeen{agent, std::move(temperature)}; });
    case TopicKind::results:
      return decoded(message, protocol::decode_results(payload), [&](protocol::ResultsMessage results) {
        for (const auto& bad : results.results.bad) {
          complaints_.complain(message.topic, "dropped a result on " + message.topic + ": " + bad);
        }
        return ResultsSeen{agent, std::move(results.results.good)};
      });
    case TopicKind::coordinator_status:
      return decoded(message, protocol::decode_coordinator_status(payload), [&](protocol::CoordinatorStatus status) {
        return CoordinatorSeen{status.state == protocol::CoordinatorState::online, std::move(status.reign),
                               !message.retained};
      });
    case TopicKind::submit:
      return take_submission(*topic, message);
    case TopicKind::tasks:
    case TopicKind::stream:
    case TopicKind::control:
    case TopicKind::reply:
      return;  // not subscribed
  }
}

// Nobody is answered but on a topic of his own.
bool Loop::can_be_answered(const Topic& topic, const mqtt::Message& message) {
  const auto drop = [&](const std::string& why) {
    complaints_.complain("submit " + topic.client.str(), "dropped a task on " + message.topic + ": " + why);
    return false;
  };
  const auto reply = topics_.parse(message.response_topic);
  if (!reply || reply->kind != TopicKind::reply || reply->client != topic.client ||
      message.response_topic.find_first_of("+#") != std::string::npos) {
    return drop("its response topic is not below " + topics_.build({TopicKind::reply, {}, {}, topic.client}));
  }
  // The broker would hand it out again at each start of ours.
  if (message.retained) return drop("it is retained; publish tasks without that flag");
  if (message.correlation_data.size() > most_correlation_data) {
    return drop("its correlation data exceed " + std::to_string(most_correlation_data) + " bytes");
  }
  return true;
}

void Loop::take_submission(const Topic& topic, const mqtt::Message& message) {
  if (!can_be_answered(topic, message)) return;
  auto submission = protocol::decode_submission(message.payload, topic.capability);
  if (!submission) return refuse_submission(message, submission.error());
  for (const auto& artifact : artifacts_in(submission->spec.input)) {
    if (auto found = artifacts_.find(artifact); !found) return refuse_submission(message, found.error());
  }
  if (mqtt_requests_.size() + mqtt_replies_.size() >= most_mqtt_requests) {
    return refuse_submission(message,
                             Error{"too many requests wait for their outcome; try again later", ErrorKind::busy});
  }
  const mqtt::Message request{{}, {}, 1, false, message.response_topic, message.correlation_data};
  Submit submit{"mqtt:" + topic.client.str(), {std::move(submission->spec), submission->idempotency_key}, {}};
  submit.answer = [this, request, accepted_only = submission->answer_accepted](Result<Acceptance> accepted) {
    if (!accepted) return refuse_submission(request, accepted.error());
    if (accepted_only) return reply_over_mqtt(request, acceptance_view(*accepted));
    answer_when_ended(accepted->id, request);
  };
  handle(submit);
}

void Loop::refuse_submission(const mqtt::Message& message, const Error& error) {
  if (mqtt_replies_.size() >= most_mqtt_requests + most_refusals) {
    return complaints_.complain("refusals", "tasks over MQTT are refused without an answer: too many answers wait");
  }
  reply_over_mqtt(message, problem_view(error));
}

void Loop::reply_over_mqtt(const mqtt::Message& request, std::string payload) {
  mqtt_replies_.push_back({request.response_topic,
                           std::move(payload),
                           protocol::rule(TopicKind::reply).qos,
                           false,
                           {},
                           request.correlation_data});
}

// An answer waits for the broker to come back, as its task was accepted; other messages need not.
void Loop::send_replies() {
  while (!mqtt_replies_.empty() && session_.up() && session_.waiting() < replies_ahead) {
    perform_mqtt(session_.publish(std::move(mqtt_replies_.front())));
    mqtt_replies_.pop_front();
  }
}

// For a task that may have ended long ago: an idempotent repetition.
void Loop::answer_when_ended(const TaskId& id, const mqtt::Message& request) {
  if (const auto alive = state_.tasks.find(id); alive != state_.tasks.end() && !ended(alive->second.record.state)) {
    mqtt_requests_.emplace(id, request);
    return;
  }
  const auto record = store_.reads().task(id);
  reply_over_mqtt(request, record && *record ? outcome_view(**record)
                                             : problem_view(record ? Error{"the task is gone", ErrorKind::not_found}
                                                                   : record.error()));
}

// ---- MQTT, out

void Loop::perform_mqtt(mqtt::Actions actions) {
  for (auto& action : actions) {
    std::visit(overloaded{
                   [&](const mqtt::DoConnect&) { client_->connect(); },
                   [&](const mqtt::DoSubscribe&) {
                     std::vector<mqtt::Subscription> all;
                     for (const auto kind : {TopicKind::coordinator_status, TopicKind::agent_info, TopicKind::heartbeat,
                                             TopicKind::temperature, TopicKind::agent_status, TopicKind::results,
                                             TopicKind::submit, TopicKind::stream}) {
                       all.push_back({topics_.build({kind, {}, {}, {}}), protocol::rule(kind).qos});
                     }
                     client_->subscribe(all);
                   },
                   [&](const mqtt::DoSend& send) { client_->publish(send.message); },
                   [&](const mqtt::TellUp&) {
                     log::info("connected to the broker at " + options_.broker.broker + ", epoch " +
                               std::to_string(state_.reign.epoch));
                     broker_up_ = true;
                     step(BrokerUp{});
                   },
                   [&](const mqtt::TellDown& down) {
                     log::warning("the broker is lost: " + down.reason + "; trying again");
                     broker_up_ = false;
                     step(BrokerDown{});
                   },
                   [&](const mqtt::TellTrouble& trouble) {
                     complaints_.complain("broker", "broker " + options_.broker.broker + ": " + trouble.reason);
                   },
               },
               action);
  }
}

void Loop::publish(const Topic& topic, std::string payload) {
  const auto& rule = protocol::rule(topic.kind);
  perform_mqtt(session_.publish({topics_.build(topic), std::move(payload), rule.qos, rule.retained, {}, {}}));
}

void Loop::announce(protocol::CoordinatorState state) {
  publish({TopicKind::coordinator_status, {}, {}, {}},
          protocol::encode(protocol::CoordinatorStatus{state, state_.reign}));
}

void Loop::send(const SendTasks& effect) {
  std::vector<protocol::TaskElement> elements;
  elements.reserve(effect.tasks.size());
  for (const AttemptKey& key : effect.tasks) {
    const auto task = state_.tasks.find(key.id);
    if (task == state_.tasks.end()) continue;  // it has ended in this very drain
    const TaskSpec& spec = task->second.record.spec;
    hub_.given(key.id, key.attempt, effect.agent);
    elements.push_back({key.id, key.attempt, spec.input, spec.timeout, executor_of(state_, task->second, key.attempt)});
  }
  for (std::size_t first = 0; first < elements.size();) {
    publish({TopicKind::tasks, effect.agent, effect.capability, {}},
            protocol::encode_tasks(state_.reign, effect.n, elements, first));
  }
}

void Loop::control(const AgentName& agent, protocol::ControlType type, const std::vector<AttemptKey>& tasks,
                   bool unknown) {
  std::vector<protocol::AttemptRef> refs;
  refs.reserve(tasks.size());
  for (const AttemptKey& key : tasks) refs.push_back({key.id, key.attempt, unknown});
  std::size_t first = 0;
  do {
    publish({TopicKind::control, agent, {}, {}}, protocol::encode_control(state_.reign, type, refs, first));
  } while (first < refs.size());
}

void Loop::answer_from_store(const AskStore& ask) {
  std::vector<AttemptKey> known;
  std::vector<AttemptKey> unknown;
  for (const AttemptKey& key : ask.tasks) {
    const auto record = store_.reads().task(key.id);
    if (!record) return complaints_.complain("store", record.error().message);  // its sender asks again
    (*record ? known : unknown).push_back(key);
  }
  if (!known.empty()) control(ask.agent, protocol::ControlType::acknowledge, known, false);
  if (unknown.empty()) return;
  complaints_.complain("unknown results", "agent " + ask.agent.str() + " has results of " +
                                              std::to_string(unknown.size()) + " tasks that are not known here");
  control(ask.agent, protocol::ControlType::acknowledge, unknown, true);
}

}  // namespace edgefleet::coordinator
