#include "coordinator/shell/mqtt_replies.hpp"

#include "common/protocol/problem.hpp"
#include "common/protocol/topics.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator {

bool MqttReplies::full(const std::string& client) const {
  const auto own = by_client_.find(client);
  return expected_ + replies_.size() >= most || (own != by_client_.end() && own->second >= most_of_one);
}

void MqttReplies::when_ended(const TaskId& id, const std::string& client, const mqtt::Message& request) {
  waiting_.emplace(id, Waiting{client, request});
}

void MqttReplies::expect(const std::string& client) {
  ++expected_;
  ++by_client_[client];
}

void MqttReplies::answered(const std::string& client) {
  --expected_;
  if (const auto own = by_client_.find(client); --own->second == 0) by_client_.erase(own);
}

void MqttReplies::reply_outcome(const mqtt::Message& request, const TaskRecord& record) {
  add(request, outcome_view(record, bytes_ < all_bytes ? most_bytes_() : 0), record.id.str());
}

void MqttReplies::reply(const mqtt::Message& request, std::string payload) { add(request, std::move(payload), {}); }

void MqttReplies::add(const mqtt::Message& request, std::string payload, std::string task) {
  bytes_ += payload.size();
  replies_.push_back({{request.response_topic,
                       std::move(payload),
                       protocol::rule(protocol::TopicKind::reply).qos,
                       false,
                       {},
                       request.correlation_data},
                      std::move(task)});
}

void MqttReplies::refuse(const mqtt::Message& request, const Error& error) {
  if (replies_.size() >= most + most_refusals) {
    return complaints_.complain("refusals",
                                "tasks over MQTT are refused without an answer: too many answers are waiting");
  }
  reply(request, protocol::problem_json(error));
}

mqtt::Message MqttReplies::take(std::uint64_t id) {
  Reply first = std::move(replies_.front());
  mqtt::Message& message = first.message;
  bytes_ -= message.payload.size();
  replies_.pop_front();
  message.id = id;
  if (message.payload.size() > surely_taken && !first.task.empty()) {
    on_the_way_[id] = {{{}, {}, message.qos, false, message.topic, message.correlation_data}, first.task};
  }
  return std::move(message);
}

void MqttReplies::on(const mqtt::ClientEvent& event) {
  if (std::holds_alternative<mqtt::ConnectionLost>(event)) on_the_way_.clear();
  if (const auto* delivered = std::get_if<mqtt::Delivered>(&event)) on_the_way_.erase(delivered->id);
}

void MqttReplies::refused(std::uint64_t id, const std::string& reason) {
  const auto found = on_the_way_.find(id);
  if (found == on_the_way_.end()) return;
  const Reply reply = std::move(found->second);
  on_the_way_.erase(found);
  refuse(reply.message, Error{"task " + reply.task + " has ended, but its outcome cannot be sent: " + reason +
                                  "; get it over HTTP, at /api/v1/tasks/" + reply.task,
                              ErrorKind::too_large});
}

void MqttReplies::committed(const Changes& changes, const State& state) {
  if (waiting_.empty()) return;
  const auto answer = [&](const TaskId& id) {
    const auto [first, last] = waiting_.equal_range(id);
    for (auto request = first; request != last; ++request) {
      const auto& [client, message] = request->second;
      reply_outcome(message, state.tasks.at(id).record);
      answered(client);
    }
    waiting_.erase(first, last);
  };
  for_each_ended(changes, answer, [](const BatchId&) {});
}

}  // namespace edgefleet::coordinator
