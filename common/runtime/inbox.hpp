// The bounded queue in front of a loop: many threads add values, one takes all of them at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "common/core/time.hpp"

namespace edgefleet {

template <typename T>
class Inbox {
 public:
  explicit Inbox(std::size_t most) : most_(most) {}

  // False: full, the value was not added. Never waits.
  bool offer(T value) { return put(std::move(value), most_); }
  // For values that must not be refused: events of the connection, answers that a caller waits for. Their number
  // is bounded by their cause.
  void insist(T value) { put(std::move(value), static_cast<std::size_t>(-1)); }

  // Returns all values; waits for one until `until` (none: without a limit).
  std::vector<T> drain(std::optional<Time> until) {
    std::unique_lock lock(mutex_);
    const auto there = [&] { return !waiting_.empty(); };
    if (until) {
      filled_.wait_until(lock, std::chrono::steady_clock::time_point(until->time_since_epoch()), there);
    } else {
      filled_.wait(lock, there);
    }
    return std::exchange(waiting_, {});
  }

  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

 private:
  bool put(T&& value, std::size_t most) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() >= most) return false;
      waiting_.push_back(std::move(value));
      if (waiting_.size() > 1) return true;  // the loop has been woken already
    }
    filled_.notify_one();
    return true;
  }

  const std::size_t most_;
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<T> waiting_;
};

}  // namespace edgefleet
