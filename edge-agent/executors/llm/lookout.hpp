// Connects the two executors of one Ollama: one lists its models and detects whether it answers, the other changes
// them and requests a new listing. Shared ownership, because either executor may be destroyed first.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "common/core/time.hpp"

namespace edgefleet::agent::llm {

class Lookout {
 public:
  // ---- the executor that looks

  // Waits until a look is requested, or the pause is over.
  void pause(const std::stop_token& stop, Duration most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, most, [this] { return wanted_ > begun_; });
    begun_ = wanted_;
  }
  // The result of a look has been offered. `trouble`: why the back end could not be reached; empty: it was.
  void looked(const std::string& trouble) {
    const std::lock_guard lock(mutex_);
    done_ = begun_;
    changed_.notify_all();
    if (trouble == trouble_) return;
    trouble_ = trouble;
    if (on_trouble_) on_trouble_(*trouble_);
  }

  // ---- the executor that changes models

  void look_again() {
    const std::lock_guard lock(mutex_);
    ++wanted_;
    changed_.notify_all();
  }
  // Waits until such a look has been offered, at most `most`.
  void look_again_and_wait(const std::stop_token& stop, Duration most) {
    std::unique_lock lock(mutex_);
    const auto mine = ++wanted_;
    changed_.notify_all();
    changed_.wait_for(lock, stop, most, [&] { return done_ >= mine; });
  }
  // Called after the first look and each change of its result, under a lock; an empty function ends the calls.
  void on_trouble(std::function<void(const std::string&)> on_trouble) {
    const std::lock_guard lock(mutex_);
    on_trouble_ = std::move(on_trouble);
    if (on_trouble_ && trouble_) on_trouble_(*trouble_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t wanted_ = 0;  // number of requested looks; periodic looks are not counted
  std::uint64_t begun_ = 0;
  std::uint64_t done_ = 0;
  std::optional<std::string> trouble_;  // none: no look yet
  std::function<void(const std::string&)> on_trouble_;
};

}  // namespace edgefleet::agent::llm
