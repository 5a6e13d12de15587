// The executors of an agent by name. One that was replaced or removed lives until its last run has ended. Used on the
// loop's thread; runs share the ownership of their executors.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent {

// Ends executors, all at the same time, and destroys them on a thread of its own: the end of one may take seconds,
// because a plug-in has time to end by itself.
class ExecutorReaper {
 public:
  ExecutorReaper() = default;
  ExecutorReaper(const ExecutorReaper&) = delete;
  ExecutorReaper& operator=(const ExecutorReaper&) = delete;
  ExecutorReaper(ExecutorReaper&&) = delete;
  ExecutorReaper& operator=(ExecutorReaper&&) = delete;
  ~ExecutorReaper();  // waits until all that it has are destroyed

  void take(std::unique_ptr<Executor> executor);  // any thread
  [[nodiscard]] std::size_t count() const;        // that are not yet destroyed

 private:
  void serve(const std::stop_token& stop);

  mutable std::mutex mutex_;
  std::condition_variable_any filled_;
  std::deque<std::unique_ptr<Executor>> waiting_;  // with the one that is being destroyed
  std::jthread thread_;  // from the first one on; last: it uses the rest
};

class ExecutorSet {
 public:
  struct One {
    std::shared_ptr<Executor> executor;
    std::uint64_t version = 0;  // another one for each executor
  };
  using Map = std::map<ExecutorName, One>;
  static constexpr std::size_t most_ending = 8;  // while so many end, none should be replaced

  const One& put(std::unique_ptr<Executor> executor);  // replaces the one of its name
  void remove(const ExecutorName& name) { all_.erase(name); }
  // Destroys all and waits for that. No run may be in progress.
  void destroy_all();

  [[nodiscard]] std::size_t ending() const { return reaper_->count(); }  // after their last runs
  [[nodiscard]] const std::shared_ptr<Executor>& at(const ExecutorName& name) const { return all_.at(name).executor; }
  // Null: it was replaced or removed.
  [[nodiscard]] const Executor* find(const ExecutorName& name, std::uint64_t version) const;
  [[nodiscard]] Map::const_iterator begin() const { return all_.begin(); }
  [[nodiscard]] Map::const_iterator end() const { return all_.end(); }

 private:
  std::unique_ptr<ExecutorReaper> reaper_ = std::make_unique<ExecutorReaper>();  // outlives all pointers
  Map all_;
  std::uint64_t last_version_ = 0;
};

}  // namespace edgefleet::agent
