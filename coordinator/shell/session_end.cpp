#include "coordinator/shell/session_end.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>

namespace edgefleet::coordinator {

Status end_session(const mqtt::Options& options, const mqtt::MakeClient& make_client, Duration patience) {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Status> outcome;
  const auto on_event = [&](const mqtt::ClientEvent& event) {
    const auto* failed = std::get_if<mqtt::ConnectFailed>(&event);
    if (failed == nullptr && !std::holds_alternative<mqtt::Connected>(event)) return;
    const std::lock_guard lock(mutex);
    if (!outcome) outcome = failed == nullptr ? success() : Status(Error{failed->reason, ErrorKind::unavailable});
    changed.notify_all();
  };
  const auto client = make_client(options, on_event);
  if (!client) return client.error();
  (*client)->connect();
  std::unique_lock lock(mutex);
  const bool ended = changed.wait_for(lock, patience, [&] { return outcome.has_value(); });
  lock.unlock();
  if (!ended) return Error{"the broker did not answer in time", ErrorKind::unavailable};
  (*client)->disconnect(std::chrono::milliseconds(500));
  return *outcome;
}

}  // namespace edgefleet::coordinator
