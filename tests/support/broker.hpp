// Stands in for a broker: a client of the MQTT port that records its messages.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "common/mqtt/port.hpp"

namespace edgefleet::test {

// Records published messages, and injects events. Outlives the client that it makes.
class Broker {
 public:
  mqtt::MakeClient maker() {
    return [this](const mqtt::Options& options, mqtt::Client::OnEvent on_event) {
      const std::lock_guard lock(mutex_);
      options_ = options;
      on_event_ = std::move(on_event);
      return Result<std::unique_ptr<mqtt::Client>>(std::make_unique<Client>(*this));
    };
  }
  // As from the client's thread.
  void say(const mqtt::ClientEvent& event) { listener()(event); }
  std::vector<mqtt::Message> published() const {
    const std::lock_guard lock(mutex_);
    return published_;
  }
  std::size_t on(const std::string& topic) const {
    const auto all = published();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const mqtt::Message& message) { return message.topic == topic; }));
  }
  mqtt::Options options() const {
    const std::lock_guard lock(mutex_);
    return options_;
  }
  std::atomic<bool> answers = true;  // a connect and a subscribe succeed at once, and each message is delivered

 private:
  class Client final : public mqtt::Client {
   public:
    explicit Client(Broker& broker) : broker_(broker) {}
    void connect() override { broker_.reply(mqtt::Connected{}); }
    void subscribe(const std::vector<mqtt::Subscription>&) override { broker_.reply(mqtt::Subscribed{}); }
    bool publish(const mqtt::Message& message) override {
      {
        const std::lock_guard lock(broker_.mutex_);
        broker_.published_.push_back(message);
      }
      broker_.reply(mqtt::Delivered{});
      return true;
    }
    void disconnect(Duration) override {}

   private:
    Broker& broker_;
  };
  void reply(const mqtt::ClientEvent& event) {
    if (answers) listener()(event);
  }
  mqtt::Client::OnEvent listener() const {
    const std::lock_guard lock(mutex_);
    return on_event_;
  }

  mutable std::mutex mutex_;
  mqtt::Options options_;
  mqtt::Client::OnEvent on_event_;
  std::vector<mqtt::Message> published_;
};

}  // namespace edgefleet::test
