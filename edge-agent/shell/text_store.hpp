// Inputs and outputs of tasks that are too large for a message: files at the coordinator.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "common/core/time.hpp"

namespace edgefleet::agent {

class TextStore {
 public:
  TextStore() = default;
  TextStore(const TextStore&) = delete;
  TextStore& operator=(const TextStore&) = delete;
  TextStore(TextStore&&) = delete;
  TextStore& operator=(TextStore&&) = delete;
  virtual ~TextStore() = default;

  // Blocking, from any thread; a failed transfer is tried again until `stop`.
  virtual Result<std::string> fetch_text(const TextFile& file, std::stop_token stop) = 0;
  virtual Result<std::string> store_text(const std::string& text, std::stop_token stop) = 0;  // -> "sha256-..."
};

// Stops when another token does, or after a time.
class StopAt {
 public:
  StopAt(const std::stop_token& other, Duration after)
      : forward_(other, [this] { source_.request_stop(); }),
        timer_([this, after](const std::stop_token& done) { wait(done, after); }) {}
  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  void wait(const std::stop_token& done, Duration after) {
    std::unique_lock lock(mutex_);
    rings_.wait_for(lock, done, after, [] { return false; });
    if (!done.stop_requested()) source_.request_stop();
  }

  std::stop_source source_;
  std::stop_callback<std::function<void()>> forward_;
  std::mutex mutex_;
  std::condition_variable_any rings_;
  std::jthread timer_;  // last: it uses the others
};

}  // namespace edgefleet::agent
