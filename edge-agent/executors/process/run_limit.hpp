// When a run must end: its stop was requested, its executor is destroyed, or its timeout is over.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "common/core/time.hpp"
#include "edge-agent/executors/process/process_groups.hpp"

namespace edgefleet::agent {

class RunLimit {
 public:
  RunLimit(std::stop_token task, std::stop_token executor, std::shared_ptr<const ProcessGroups> clock,
           Duration timeout);

  [[nodiscard]] bool stopped() const { return stop_.stop_requested(); }
  [[nodiscard]] bool timed_out() const { return clock_->now() >= deadline_; }
  [[nodiscard]] bool over() const { return stopped() || timed_out(); }
  // The time until the timeout, if nothing is frozen; at least some milliseconds.
  [[nodiscard]] Duration left() const;

  // Requested when stopped().
  [[nodiscard]] std::stop_token stop() const { return stop_.get_token(); }
  // Requested when over(): for transfers, which have no such timeout. The first call starts a thread.
  std::stop_token transfers();

 private:
  using Forward = std::stop_callback<std::function<void()>>;
  void watch(const std::stop_token& done);

  std::shared_ptr<const ProcessGroups> clock_;
  Time deadline_;
  std::stop_source stop_;
  std::stop_source transfers_;
  Forward from_task_;
  Forward from_executor_;
  Forward to_transfers_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread timer_;  // last: it uses the others
};

// Lets the destructor of an executor stop its runs and wait for them.
class RunGate {
 public:
  class Entry {
   public:
    explicit Entry(RunGate& gate) : gate_(gate) { gate_.enter(); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    Entry(Entry&&) = delete;
    Entry& operator=(Entry&&) = delete;
    ~Entry() { gate_.leave(); }

   private:
    RunGate& gate_;
  };

  [[nodiscard]] std::stop_token closing() const { return closing_.get_token(); }
  void close();

 private:
  void enter();
  void leave();

  std::stop_source closing_;
  std::mutex mutex_;
  std::condition_variable empty_;
  int inside_ = 0;
};

}  // namespace edgefleet::agent
