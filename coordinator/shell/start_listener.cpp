#include "coordinator/shell/start_listener.hpp"

#include "common/core/overloaded.hpp"
#include "common/protocol/codec.hpp"
#include "common/system/clock.hpp"
#include "common/system/entropy.hpp"

namespace edgefleet::coordinator {

using protocol::TopicKind;

StartListener::StartListener(const FleetName& fleet, mqtt::Options broker, const SessionId& own, StartCheck check,
                             log::Complaints& complaints)
    : topics_(fleet),
      fleet_(fleet.str()),
      broker_(std::move(broker)),
      complaints_(complaints),
      check_(std::move(check)),
      session_(random_seed()) {
  broker_.client_id = "edgefleet-" + fleet_ + "-coordinator-start-" + own.str();
}

Status StartListener::start(const mqtt::MakeClient& make_client, mqtt::Client::OnEvent on_event) {
  auto client = make_client(broker_, std::move(on_event));
  if (!client) return client.error();
  client_ = std::move(*client);
  act(session_.start(monotonic_now()));
  return success();
}

void StartListener::handle(const mqtt::ClientEvent& event) {
  if (client_ == nullptr) return;
  if (const auto* received = std::get_if<mqtt::Received>(&event)) return receive(received->message);
  act(session_.on(event, monotonic_now()));
}

void StartListener::tick() { act(session_.tick(monotonic_now())); }

std::optional<Time> StartListener::next_tick() const {
  const auto retry = session_.next_tick();
  const auto check = check_.next_tick();
  if (!retry || !check) return retry ? retry : check;
  return std::min(*retry, *check);
}

StartCheck::Verdict StartListener::verdict() const { return check_.verdict(monotonic_now()); }

std::string StartListener::why_refused() const {
  const Reign& other = *check_.other();
  return "another coordinator (session " + other.session.str() + ", epoch " + std::to_string(other.epoch) +
         (other_store_.empty() ? "" : ", store " + other_store_) + ") works on fleet " + fleet_ + " at " +
         broker_.broker + "; stop it, or choose another --fleet, or pass --take-over to make it stop";
}

void StartListener::stop() {
  if (client_ == nullptr) return;
  client_->disconnect(std::chrono::seconds(1));
  client_.reset();
}

void StartListener::act(mqtt::Actions actions) {
  for (auto& action : actions) {
    std::visit(overloaded{
                   [&](const mqtt::DoConnect&) { client_->connect(); },
                   [&](const mqtt::DoSubscribe&) {
                     client_->subscribe({{topics_.build({TopicKind::coordinator_status, {}, {}, {}}), 1},
                                         {topics_.build({TopicKind::coordinator_beat, {}, {}, {}}), 0}});
                   },
                   [](const mqtt::DoSend&) {},
                   [&](const mqtt::TellUp&) {
                     failed_ = false;
                     check_.subscribed(monotonic_now());
                   },
                   [&](const mqtt::TellDown&) {
                     failed_ = true;
                     check_.lost_connection();
                   },
                   [](const mqtt::TellRefused&) {},
                   [&](const mqtt::TellTrouble& trouble) {
                     failed_ = true;
                     complaints_.complain("broker", "broker " + broker_.broker + ": " + trouble.reason);
                   },
               },
               action);
  }
}

void StartListener::receive(const mqtt::Message& message) {
  const auto topic = topics_.parse(message.topic);
  if (!topic) return;
  if (topic->kind == TopicKind::coordinator_status) {
    const auto status = protocol::decode_coordinator_status(message.payload);
    if (!status) return;
    check_.status_seen(status->state == protocol::CoordinatorState::online, status->reign, message.retained);
  } else if (topic->kind == TopicKind::coordinator_beat) {
    const auto beat = protocol::decode_coordinator_beat(message.payload);
    if (!beat) return;
    if (!message.retained) other_store_ = beat->store;
    check_.beat_seen(beat->reign, message.retained);
  }
}

}  // namespace edgefleet::coordinator
