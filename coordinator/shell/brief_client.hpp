// A client of the broker for some acts: it connects, does them, and goes. Blocking, for any thread but the loop's.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/mqtt/port.hpp"

namespace edgefleet::coordinator {

class BriefClient {
 public:
  explicit BriefClient(mqtt::Options options) : options_(std::move(options)) {}
  BriefClient(const BriefClient&) = delete;
  BriefClient& operator=(const BriefClient&) = delete;
  BriefClient(BriefClient&&) = delete;
  BriefClient& operator=(BriefClient&&) = delete;
  ~BriefClient();

  // Errors: of the options; unavailable: the broker did not accept it, or not within `patience`.
  Status connect(const mqtt::MakeClient& make_client, Duration patience);
  // The same for one that the broker must let in: Paho's TLS handshake fails now and then after another one in the
  // process has failed, so it is tried three times.
  Status connect_surely(const mqtt::MakeClient& make_client, Duration patience);
  // After a connect. Error: the broker did not say within `patience` what became of the message.
  Result<mqtt::Delivered> publish(const mqtt::Message& message, Duration patience);
  // After a connect. What the broker has sent before it answered is in received(). Error: it was refused, or not
  // answered within `patience`.
  Status subscribe(const std::string& filter, Duration patience);
  static constexpr std::size_t most_received = 1000;  // beyond it the topics are not kept
  [[nodiscard]] std::vector<std::string> received() const;  // topics
  [[nodiscard]] bool lost() const;  // the connection, after a connect

 private:
  void take(const mqtt::ClientEvent& event);

  mqtt::Options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<mqtt::ClientEvent> connecting_;  // how it has ended
  std::optional<mqtt::Delivered> delivered_;
  std::optional<Status> subscribed_;
  std::vector<std::string> received_;
  bool lost_ = false;
  bool connected_ = false;
  std::unique_ptr<mqtt::Client> client_;  // last: it calls take()
};

}  // namespace edgefleet::coordinator
