// Looks whether the coordinator's HTTP API, where the files of tasks are, can be reached: at the start, after a
// transfer that failed, with backoff while it cannot be reached, and every few minutes otherwise. MQTT may work while
// it does not.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "common/core/time.hpp"
#include "common/http/client.hpp"

namespace edgefleet::agent {

// Names the coordinator at `url` in messages; the hint fits the mistake that is likely with this address.
http::Peer coordinator_peer(const std::string& url);

class CoordinatorWatch {
 public:
  struct Times {
    Duration first_pause = std::chrono::seconds(1);     // between two looks while it cannot be reached
    Duration longest_pause = std::chrono::seconds(30);
    Duration between = std::chrono::minutes(5);         // while it can be reached
    Duration settled = std::chrono::seconds(10);  // a coordinator that is online for longer has begun to listen
    Duration outage = std::chrono::seconds(30);   // a shorter failure, once it was reached, may be a restart
    Duration timeout = std::chrono::seconds(10);        // of one look
  };
  // From the thread of the watch. `problem` is empty if the API can be reached.
  using OnSeen = std::function<void(std::string problem)>;

  explicit CoordinatorWatch(std::string url, http::Credentials credentials = {})
      : CoordinatorWatch(std::move(url), Times{}, std::move(credentials)) {}
  CoordinatorWatch(std::string url, Times times, http::Credentials credentials = {})
      : url_(std::move(url)), credentials_(std::move(credentials)), times_(times) {}
  CoordinatorWatch(const CoordinatorWatch&) = delete;
  CoordinatorWatch& operator=(const CoordinatorWatch&) = delete;
  CoordinatorWatch(CoordinatorWatch&&) = delete;
  CoordinatorWatch& operator=(CoordinatorWatch&&) = delete;
  ~CoordinatorWatch() = default;

  void start(OnSeen on_seen);
  void stop();  // on_seen is not called after this

  // ---- any thread
  void look_soon();  // unless it looks often enough already
  void transfer_failed() { look_soon(); }
  // Whether the coordinator is online over MQTT. A failure that began while it was not is looked at again.
  void coordinator_is(bool online);
  // Waiting for it is of no use: over MQTT it is online, and its HTTP API has not been reached for `outage`, or never.
  [[nodiscard]] bool hopeless() const;
  // After a transfer that failed: it has never been reached, although over MQTT it is online. Waits until that is
  // known, at most `timeout` and `settled`.
  bool wrong_address(const std::stop_token& stop);

 private:
  void run(const std::stop_token& stop);
  void note(const std::optional<Error>& failure);
  void wait(const std::stop_token& stop);

  const std::string url_;
  const http::Credentials credentials_;
  const Times times_;
  OnSeen on_seen_;
  mutable std::mutex mutex_;
  std::condition_variable_any rings_;
  bool look_now_ = true;
  bool reached_ = false;  // at least once
  int failures_ = 0;  // since it was last reached
  std::optional<Time> failing_since_;
  std::optional<Time> online_since_;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace edgefleet::agent
