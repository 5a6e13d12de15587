// A client of the broker for one act: it connects, does it, and goes. Blocking, for any thread but the loop's.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

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
  // After a connect. Error: the broker did not say within `patience` what became of the message.
  Result<mqtt::Delivered> publish(const mqtt::Message& message, Duration patience);

 private:
  void take(const mqtt::ClientEvent& event);

  mqtt::Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<mqtt::ClientEvent> connecting_;  // how it has ended
  std::optional<mqtt::Delivered> delivered_;
  bool connected_ = false;
  std::unique_ptr<mqtt::Client> client_;  // last: it calls take()
};

}  // namespace edgefleet::coordinator
