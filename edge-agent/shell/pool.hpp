// The threads that tasks run on: as many as tasks that run at the same time.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "edge-agent/core/event.hpp"
#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent {

class Pool {
 public:
  using OnFinished = std::function<void(Finished)>;  // from a thread of the pool
  using OnProgress = std::function<void(const AttemptKey&, const Progress&)>;

  Pool(OnFinished on_finished, OnProgress on_progress)
      : on_finished_(std::move(on_finished)), on_progress_(std::move(on_progress)) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  Pool(Pool&&) = delete;
  Pool& operator=(Pool&&) = delete;
  ~Pool();

  // The run owns the executor too: it may be replaced meanwhile.
  void start(std::shared_ptr<Executor> executor, Job job);
  void stop(const AttemptKey& key);
  // Runs it on the calling thread: for executors that are `instant`.
  Finished run_here(Executor& executor, const Job& job) const;

 private:
  struct Work {
    std::shared_ptr<Executor> executor;
    Job job;
    std::stop_token stop;
  };
  void serve();
  static Finished run(Executor& executor, const Job& job, std::stop_token stop, const Executor::OnProgress& progress);

  OnFinished on_finished_;
  OnProgress on_progress_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Work> waiting_;
  std::map<AttemptKey, std::stop_source> running_;  // waiting ones too
  std::size_t idle_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace edgefleet::agent
