#include "edge-agent/shell/pool.hpp"

#include <algorithm>

#include "common/core/artifact_id.hpp"
#include "common/protocol/artifacts.hpp"
#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/executors/outcome.hpp"

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

void Pool::start(std::shared_ptr<Executor> executor, Job job, std::optional<TextFile> input_at) {
  const std::lock_guard lock(mutex_);
  auto& stop = running_[AttemptKey{job.id, job.attempt}];
  waiting_.push_back(Work{std::move(executor), std::move(job), std::move(input_at), stop.get_token()});
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
    auto finished = run(*work.executor, work.job, work.input_at, work.stop,
                        [&](const Progress& progress) { on_progress_(key, progress); });
    work.executor.reset();  // a replaced one is not needed after its last run
    lock.lock();
    running_.erase(key);
    lock.unlock();
    on_finished_(std::move(finished));
    lock.lock();
  }
}

Finished Pool::run_here(Executor& executor, Job job) const {
  return run(executor, job, {}, {}, [](const Progress&) {});
}

Finished Pool::run(Executor& executor, Job& job, const std::optional<TextFile>& input_at, const std::stop_token& stop,
                   const Executor::OnProgress& progress) const {
  const Time began = monotonic_now();
  auto missing = input_at ? fetch_input(job, *input_at, stop) : std::nullopt;
  RunOutcome outcome = missing ? std::move(*missing) : executor.run(job, stop, progress);
  Finished finished{{job.id, job.attempt},    std::move(outcome.output), std::move(outcome.error),
                    std::move(outcome.usage), monotonic_now() - began,   {}};
  job.input = {};
  if (!json::part_is_shallow(finished.output)) {
    finished.error = TaskError{"output_too_deep", "the output is nested more than 64 levels deep", false, {}};
    finished.output = "null";
  }
  if (finished.output.size() > limits::input_bytes) store_output(finished, job.most_output_bytes, stop);
  if (!json::part_is_shallow(finished.usage)) finished.usage.clear();
  return finished;
}

// The time that it takes counts against the timeout. No value: the input is there.
std::optional<RunOutcome> Pool::fetch_input(Job& job, const TextFile& file, const std::stop_token& stop) const {
  if (!texts_) return failed("not_supported", "this agent cannot fetch inputs", false);
  const Time until = monotonic_now() + job.timeout;
  const StopAt limit(stop, job.timeout);
  auto text = texts_->fetch_text(file, limit.token());
  if (stop.stop_requested()) return cancelled_outcome();
  if (!text) {
    auto outcome = failed_by(text.error().context("fetching the input"));
    return monotonic_now() < until ? outcome : timed_out_outcome(job.timeout, *outcome.error);
  }
  if (!json::well_formed(*text)) return failed("bad_input", "the input is not JSON", false);
  job.input = std::move(*text);
  job.timeout = std::max<Duration>(until - monotonic_now(), std::chrono::milliseconds(1));
  return std::nullopt;
}

// Leaves a failure of the task itself as it is.
void Pool::store_output(Finished& finished, std::size_t most_bytes, const std::stop_token& stop) const {
  const std::string output = std::exchange(finished.output, "null");
  const auto fail = [&](std::optional<TaskError> error) {
    if (!finished.error) finished.error = std::move(error);
  };
  if (output.size() > most_bytes || !texts_) {
    return fail(TaskError{"output_too_large",
                          "the output has " + std::to_string(output.size()) + " bytes; the maximum is " +
                              std::to_string(texts_ ? most_bytes : limits::input_bytes) +
                              "; store larger data as artifacts",
                          false,
                          {}});
  }
  TextFile file{{}, output.size(), protocol::artifacts_in(output)};
  std::erase_if(file.artifacts, [](const std::string& id) { return !valid_artifact_id(id); });
  if (file.artifacts.size() > limits::text_artifacts) {
    return fail(TaskError{"output_too_large",
                          "the output names " + std::to_string(file.artifacts.size()) +
                              " artifacts; the maximum of one of this size is " +
                              std::to_string(limits::text_artifacts),
                          false,
                          {}});
  }
  auto id = texts_->store_text(output, stop);
  if (!id) return fail(failed_by(id.error().context("storing the output")).error);
  file.artifact = std::move(*id);
  finished.output_at = std::move(file);
}

}  // namespace edgefleet::agent
