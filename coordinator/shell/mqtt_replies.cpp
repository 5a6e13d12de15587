#include "coordinator/shell/mqtt_replies.hpp"

#include "common/protocol/problem.hpp"
#include "common/protocol/topics.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator {

void MqttReplies::reply(const mqtt::Message& request, std::string payload) {
  replies_.push_back({request.response_topic,
                      std::move(payload),
                      protocol::rule(protocol::TopicKind::reply).qos,
                      false,
                      {},
                      request.correlation_data});
}

void MqttReplies::refuse(const mqtt::Message& request, const Error& error) {
  if (replies_.size() >= most + most_refusals) {
    return complaints_.complain("refusals",
                                "tasks over MQTT are refused without an answer: too many answers are waiting");
  }
  reply(request, protocol::problem_json(error));
}

mqtt::Message MqttReplies::take() {
  mqtt::Message first = std::move(replies_.front());
  replies_.pop_front();
  return first;
}

void MqttReplies::committed(const Changes& changes, const State& state) {
  if (waiting_.empty()) return;
  const auto answer = [&](const TaskId& id) {
    const auto [first, last] = waiting_.equal_range(id);
    for (auto request = first; request != last; ++request) {
      reply(request->second, outcome_view(state.tasks.at(id).record));
    }
    waiting_.erase(first, last);
  };
  for_each_ended(changes, answer, [](const BatchId&) {});
}

}  // namespace edgefleet::coordinator
