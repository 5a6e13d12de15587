// Answers to tasks that were submitted over MQTT: kept until the outcome is durable, and until the broker can take
// them. Only on the loop's thread.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>

#include "common/mqtt/port.hpp"
#include "common/runtime/log.hpp"
#include "coordinator/shell/after_commit.hpp"

namespace edgefleet::coordinator {

class MqttReplies final : public CommitListener {
 public:
  static constexpr std::size_t most = 10'000;           // tasks whose answer is still to come
  static constexpr std::size_t most_refusals = 5'000;   // beyond those; more are not answered

  explicit MqttReplies(log::Complaints& complaints) : complaints_(complaints) {}

  // Of a request only its response topic and correlation data are used.
  [[nodiscard]] bool full() const { return waiting_.size() + replies_.size() >= most; }
  void when_ended(const TaskId& id, const mqtt::Message& request) { waiting_.emplace(id, request); }
  void reply(const mqtt::Message& request, std::string payload);
  void refuse(const mqtt::Message& request, const Error& error);

  // Messages for the broker, oldest first.
  [[nodiscard]] bool empty() const { return replies_.empty(); }
  mqtt::Message take();

  void committed(const Changes& changes, const State& state) override;

 private:
  log::Complaints& complaints_;
  std::unordered_multimap<TaskId, mqtt::Message> waiting_;
  std::deque<mqtt::Message> replies_;  // not yet given to the connection
};

}  // namespace edgefleet::coordinator
