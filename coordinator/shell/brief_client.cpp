#include "coordinator/shell/brief_client.hpp"

#include "common/system/clock.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration farewell = std::chrono::milliseconds(500);

Error too_late() { return {"the broker did not answer in time", ErrorKind::unavailable}; }

}  // namespace

BriefClient::~BriefClient() {
  if (connected_) client_->disconnect(farewell);
}

void BriefClient::take(const mqtt::ClientEvent& event) {
  const std::lock_guard lock(mutex_);
  if (const auto* delivered = std::get_if<mqtt::Delivered>(&event)) delivered_ = *delivered;
  if (const auto* lost = std::get_if<mqtt::ConnectionLost>(&event)) {
    lost_ = true;
    delivered_ = mqtt::Delivered{false, lost->reason, lost->code, 0};
    subscribed_ = Error{lost->reason, ErrorKind::unavailable};
  }
  if (std::holds_alternative<mqtt::Subscribed>(event)) subscribed_ = success();
  if (const auto* failed = std::get_if<mqtt::SubscribeFailed>(&event)) {
    subscribed_ = Error{failed->reason, ErrorKind::forbidden};
  }
  if (const auto* message = std::get_if<mqtt::Received>(&event); message && received_.size() < most_received) {
    received_.push_back(message->message.topic);
  }
  if (std::holds_alternative<mqtt::ConnectFailed>(event) || std::holds_alternative<mqtt::Connected>(event)) {
    connecting_ = event;
  }
  changed_.notify_all();
}

Status BriefClient::connect(const mqtt::MakeClient& make_client, Duration patience) {
  auto client = make_client(options_, [this](const mqtt::ClientEvent& event) { take(event); });
  if (!client) return client.error();
  client_ = std::move(*client);
  const Time until = monotonic_now() + patience;
  std::unique_lock lock(mutex_);
  for (;;) {
    connecting_.reset();
    lock.unlock();
    client_->connect();
    lock.lock();
    if (!changed_.wait_for(lock, until - monotonic_now(), [&] { return connecting_.has_value(); })) return too_late();
    const auto* failed = std::get_if<mqtt::ConnectFailed>(&*connecting_);
    if (failed == nullptr) break;
    if (!failed->early) return Error{failed->reason, ErrorKind::unavailable};
    changed_.wait_for(lock, mqtt::early_pause, [] { return false; });
  }
  connected_ = true;
  return success();
}

Status BriefClient::connect_surely(const mqtt::MakeClient& make_client, Duration patience) {
  Status connected = success();
  for (int attempt = 0; attempt < 3; ++attempt) {
    connected = connect(make_client, patience);
    if (connected) break;
  }
  return connected;
}

Result<mqtt::Delivered> BriefClient::publish(const mqtt::Message& message, Duration patience) {
  std::unique_lock lock(mutex_);
  delivered_.reset();
  lock.unlock();
  if (!client_->publish(message)) return too_late();
  lock.lock();
  if (!changed_.wait_for(lock, patience, [&] { return delivered_.has_value(); })) return too_late();
  return *delivered_;
}

Status BriefClient::subscribe(const std::string& filter, Duration patience) {
  std::unique_lock lock(mutex_);
  subscribed_.reset();
  lock.unlock();
  client_->subscribe({{filter, 0}});
  lock.lock();
  if (!changed_.wait_for(lock, patience, [&] { return subscribed_.has_value(); })) return too_late();
  return *subscribed_;
}

std::vector<std::string> BriefClient::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

bool BriefClient::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

}  // namespace edgefleet::coordinator
