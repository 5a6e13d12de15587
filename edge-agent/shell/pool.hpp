// The threads that tasks run on: as many as tasks that run at the same time. Inputs and outputs that are files are
// fetched and stored here, so that executors need not know.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "edge-agent/core/event.hpp"
#include "edge-agent/executors/port.hpp"
#include "edge-agent/shell/text_store.hpp"

namespace edgefleet::agent {

class Pool {
 public:
  using OnFinished = std::function<void(Finished)>;  // from a thread of the pool
  using OnProgress = std::function<void(const AttemptKey&, const Progress&)>;

  // `texts`: where inputs and outputs are that are files; null: nowhere.
  Pool(OnFinished on_finished, OnProgress on_progress, std::shared_ptr<TextStore> texts = {})
      : on_finished_(std::move(on_finished)), on_progress_(std::move(on_progress)), texts_(std::move(texts)) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  Pool(Pool&&) = delete;
  Pool& operator=(Pool&&) = delete;
  ~Pool();

  // `input_at`: the input, if it is a file. The run owns the executor too: it may be replaced meanwhile.
  void start(std::shared_ptr<Executor> executor, Job job, std::optional<TextFile> input_at = {});
  void stop(const AttemptKey& key);
  // Runs it on the calling thread: for executors that are `instant`.
  Finished run_here(Executor& executor, Job job) const;

 private:
  struct Work {
    std::shared_ptr<Executor> executor;
    Job job;
    std::optional<TextFile> input_at;
    std::stop_token stop;
  };
  void serve();
  Finished run(Executor& executor, Job& job, const std::optional<TextFile>& input_at, const std::stop_token& stop,
               const Executor::OnProgress& progress) const;
  std::optional<RunOutcome> fetch_input(Job& job, const TextFile& file, const std::stop_token& stop) const;
  void store_output(Finished& finished, std::size_t most_bytes, const std::stop_token& stop) const;

  OnFinished on_finished_;
  OnProgress on_progress_;
  std::shared_ptr<TextStore> texts_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Work> waiting_;
  std::map<AttemptKey, std::stop_source> running_;  // waiting ones too
  std::size_t idle_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace edgefleet::agent
