// Answers to tasks that were submitted over MQTT: kept until the outcome is durable, and until the broker is connected.
// Only on the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>

#include "common/mqtt/port.hpp"
#include "common/runtime/log.hpp"
#include "coordinator/shell/after_commit.hpp"

namespace edgefleet::coordinator {

class MqttReplies final : public CommitListener {
 public:
  static constexpr std::size_t most = 10'000;  // tasks whose answer is pending
  static constexpr std::size_t most_of_one = most / 4;  // client
  static constexpr std::size_t all_bytes = std::size_t{64} << 20U;  // of answers; then an outcome is only told of
  static constexpr std::size_t surely_taken = 4096;  // bytes that every broker takes; a refusal has fewer
  static constexpr std::size_t most_refusals = 5'000;  // in addition; further ones are not answered

  // `most_bytes`: of a message, as the broker takes it now.
  MqttReplies(log::Complaints& complaints, std::function<std::size_t()> most_bytes)
      : complaints_(complaints), most_bytes_(std::move(most_bytes)) {}

  // Only the response topic and the correlation data of a request are used. A client with many tasks leaves room for
  // others.
  [[nodiscard]] bool full(const std::string& client) const;
  // A task of the client is submitted: its answer has a place until answered(), or its outcome after when_ended().
  void expect(const std::string& client);
  void answered(const std::string& client);
  void when_ended(const TaskId& id, const std::string& client, const mqtt::Message& request);
  void reply(const mqtt::Message& request, std::string payload);
  void reply_outcome(const mqtt::Message& request, const TaskRecord& record);
  void refuse(const mqtt::Message& request, const Error& error);

  // Messages for the broker, oldest first. The message has this id.
  [[nodiscard]] bool empty() const { return replies_.empty(); }
  mqtt::Message take(std::uint64_t id);
  // Any event of the client.
  void on(const mqtt::ClientEvent& event);
  // The broker never takes the message of this id: if it was an answer that may be too large for it, its client is told
  // where the answer is.
  void refused(std::uint64_t id, const std::string& reason);

  void committed(const Changes& changes, const State& state) override;

 private:
  log::Complaints& complaints_;
  std::function<std::size_t()> most_bytes_;
  struct Waiting {
    std::string client;
    mqtt::Message request;
  };
  std::unordered_multimap<TaskId, Waiting> waiting_;
  std::size_t expected_ = 0;
  std::unordered_map<std::string, std::size_t> by_client_;  // of expected_
  struct Reply {
    mqtt::Message message;
    std::string task;  // whose outcome it is; empty: of none
  };
  void add(const mqtt::Message& request, std::string payload, std::string task);
  std::deque<Reply> replies_;  // not yet passed to the connection
  std::size_t bytes_ = 0;  // of their payloads
  std::map<std::uint64_t, Reply> on_the_way_;  // by id: large ones that may be refused, without their payload
};

}  // namespace edgefleet::coordinator
