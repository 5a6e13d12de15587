// Listens at the broker, before this coordinator announces itself, for another one that works on the same fleet. It has
// a connection of its own, without a will: a start that is refused changes nothing that others see. All on the loop's
// thread.
#pragma once

#include <functional>
#include <memory>

#include "common/mqtt/session.hpp"
#include "common/protocol/topics.hpp"
#include "common/runtime/log.hpp"
#include "coordinator/core/start_check.hpp"

namespace edgefleet::coordinator {

class StartListener {
 public:
  // `check`: what it listens for. `on_event` is called on the client's thread.
  StartListener(const FleetName& fleet, mqtt::Options broker, const SessionId& own, StartCheck check,
                log::Complaints& complaints);

  Status start(const mqtt::MakeClient& make_client, mqtt::Client::OnEvent on_event);
  void handle(const mqtt::ClientEvent& event);
  void tick();
  [[nodiscard]] std::optional<Time> next_tick() const;
  // False: the broker cannot be reached, so nothing can be heard for now.
  [[nodiscard]] bool can_hear() const { return !failed_; }
  [[nodiscard]] StartCheck::Verdict verdict() const;
  [[nodiscard]] std::string why_refused() const;
  void stop();

 private:
  void act(mqtt::Actions actions);
  void receive(const mqtt::Message& message);

  protocol::Topics topics_;
  std::string fleet_;
  mqtt::Options broker_;
  log::Complaints& complaints_;
  StartCheck check_;
  std::string other_store_;
  mqtt::Session session_;
  std::unique_ptr<mqtt::Client> client_;
  bool failed_ = false;  // the last attempt to connect
};

}  // namespace edgefleet::coordinator
