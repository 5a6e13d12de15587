#include "edge-agent/shell/pool.hpp"

#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::agent {

Pool::~Pool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (auto& [key, stop] : running_) stop.request_stop();
  }
  filled_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Pool::start(std::shared_ptr<Executor> executor, Job job) {
  const std::lock_guard lock(mutex_);
  auto& stop = running_[AttemptKey{job.id, job.attempt}];
  waiting_.push_back(Work{std::move(executor), std::move(job), stop.get_token()});
  if (idle_ < waiting_.size()) threads_.emplace_back([this] { serve(); });
  filled_.notify_one();
}

void Pool::stop(const AttemptKey& key) {
  std::stop_source source(std::nostopstate);
  {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(key);
    if (found == running_.end()) return;
    source = found->second;
  }
  source.request_stop();  // outside the lock: it may call callbacks of an executor
}

void Pool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    filled_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    --idle_;
    if (waiting_.empty()) return;
    Work work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    const AttemptKey key{work.job.id, work.job.attempt};
    auto finished = run(*work.executor, work.job, work.stop, [&](const Progress& p) { on_progress_(key, p); });
    work.executor.reset();  // a replaced one is not needed after its last run
    lock.lock();
    running_.erase(key);
    lock.unlock();
    on_finished_(std::move(finished));
    lock.lock();
  }
}

Finished Pool::run_here(Executor& executor, const Job& job) const {
  return run(executor, job, {}, [](const Progress&) {});
}

Finished Pool::run(Executor& executor, const Job& job, std::stop_token stop, const Executor::OnProgress& progress) {
  const Time began = monotonic_now();
  RunOutcome outcome = executor.run(job, std::move(stop), progress);
  Finished finished{{job.id, job.attempt},    std::move(outcome.output), std::move(outcome.error),
                    std::move(outcome.usage), monotonic_now() - began,   {}};
  if (finished.output.size() > limits::input_bytes) {
    finished.error = TaskError{"output_too_large",
                               "the output has " + std::to_string(finished.output.size()) + " bytes; the maximum is " +
                                   std::to_string(limits::input_bytes) + "; store larger data as artifacts",
                               false,
                               {}};
    finished.output = "null";
  } else if (!json::part_is_shallow(finished.output)) {
    finished.error = TaskError{"output_too_deep", "the output is nested more than 64 levels deep", false, {}};
    finished.output = "null";
  }
  if (!json::part_is_shallow(finished.usage)) finished.usage.clear();
  return finished;
}

}  // namespace edgefleet::agent
