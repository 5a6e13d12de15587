#include "edge-agent/executors/process/run_limit.hpp"

#include <algorithm>

namespace edgefleet::agent {

RunLimit::RunLimit(std::stop_token task, std::stop_token executor, std::shared_ptr<const ProcessGroups> clock,
                   Duration timeout)
    : clock_(std::move(clock)),
      deadline_(clock_->now() + timeout),
      from_task_(std::move(task), [this] { stop_.request_stop(); }),
      from_executor_(std::move(executor), [this] { stop_.request_stop(); }),
      to_transfers_(stop_.get_token(), [this] { transfers_.request_stop(); }) {}

Duration RunLimit::left() const { return std::max<Duration>(deadline_ - clock_->now(), std::chrono::milliseconds(5)); }

std::stop_token RunLimit::transfers() {
  if (!timer_.joinable()) timer_ = std::jthread([this](const std::stop_token& done) { watch(done); });
  return transfers_.get_token();
}

void RunLimit::watch(const std::stop_token& done) {
  std::unique_lock lock(mutex_);
  while (!done.stop_requested() && !timed_out()) wake_.wait_for(lock, done, left(), [] { return false; });
  if (!done.stop_requested()) transfers_.request_stop();
}

void RunGate::close() {
  closing_.request_stop();
  std::unique_lock lock(mutex_);
  empty_.wait(lock, [this] { return inside_ == 0; });
}

void RunGate::enter() {
  const std::lock_guard lock(mutex_);
  ++inside_;
}

void RunGate::leave() {
  const std::lock_guard lock(mutex_);
  --inside_;
  empty_.notify_all();  // under the lock: the gate may be destroyed right after
}

}  // namespace edgefleet::agent
