#include "coordinator/shell/session_end.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>

#include "common/system/clock.hpp"

namespace edgefleet::coordinator {

Status end_session(const mqtt::Options& options, const mqtt::MakeClient& make_client, Duration patience) {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<mqtt::ClientEvent> outcome;
  const auto on_event = [&](const mqtt::ClientEvent& event) {
    if (!std::holds_alternative<mqtt::ConnectFailed>(event) && !std::holds_alternative<mqtt::Connected>(event)) return;
    const std::lock_guard lock(mutex);
    outcome = event;
    changed.notify_all();
  };
  const auto client = make_client(options, on_event);
  if (!client) return client.error();
  const Time until = monotonic_now() + patience;
  std::unique_lock lock(mutex);
  for (;;) {
    outcome.reset();
    lock.unlock();
    (*client)->connect();
    lock.lock();
    if (!changed.wait_for(lock, until - monotonic_now(), [&] { return outcome.has_value(); })) {
      return Error{"the broker did not answer in time", ErrorKind::unavailable};
    }
    const auto* failed = std::get_if<mqtt::ConnectFailed>(&*outcome);
    if (failed == nullptr) break;
    if (!failed->early) return Error{failed->reason, ErrorKind::unavailable};
    changed.wait_for(lock, mqtt::early_pause, [] { return false; });
  }
  lock.unlock();
  (*client)->disconnect(std::chrono::milliseconds(500));
  return success();
}

}  // namespace edgefleet::coordinator
