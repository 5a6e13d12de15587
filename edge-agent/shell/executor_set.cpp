#include "edge-agent/shell/executor_set.hpp"

namespace edgefleet::agent {

ExecutorReaper::~ExecutorReaper() = default;

// Asked here, so that the ends of all take place at the same time, whatever the thread waits for.
void ExecutorReaper::take(std::unique_ptr<Executor> executor) {
  executor->ask_to_end();
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(executor));
  filled_.notify_all();
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

void ExecutorReaper::serve(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    filled_.wait(lock, stop, [this] { return !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto& first = waiting_.front();  // it stays in place: others are only added behind it
    lock.unlock();
    first.reset();
    lock.lock();
    waiting_.pop_front();
  }
}

std::size_t ExecutorReaper::count() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

const ExecutorSet::One& ExecutorSet::put(std::unique_ptr<Executor> executor) {
  const ExecutorName name = executor->name();
  std::shared_ptr<Executor> owned(
      executor.release(), [reaper = reaper_.get()](Executor* last) { reaper->take(std::unique_ptr<Executor>(last)); });
  One& one = all_[name];
  one = {std::move(owned), ++last_version_};
  return one;
}

void ExecutorSet::destroy_all() {
  all_.clear();
  reaper_ = std::make_unique<ExecutorReaper>();
}

const Executor* ExecutorSet::find(const ExecutorName& name, std::uint64_t version) const {
  const auto found = all_.find(name);
  return found == all_.end() || found->second.version != version ? nullptr : found->second.executor.get();
}

}  // namespace edgefleet::agent
