#include "common/http_server/pool.hpp"

namespace edgefleet::http_server {

void run_contained(std::function<void()> work) {
  try {
    work();
  } catch (const std::exception&) {
    work = nullptr;
  }
}

Pool::Pool(std::size_t threads) {
  for (auto& queue : queues_) queue.most = part_of(threads);
  queues_[static_cast<std::size_t>(Lane::handlers)].most = threads;
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

Pool::~Pool() { stop(); }

void Pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  filled_.notify_all();
  threads_.clear();  // joins
}

bool Pool::run(std::function<void()> work, Lane lane) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    queues_[static_cast<std::size_t>(lane)].waiting.push_back(std::move(work));
  }
  filled_.notify_one();
  return true;
}

Pool::Queue* Pool::next() {
  for (std::size_t i = 0; i < lanes; ++i) {
    Queue& queue = queues_[turn_++ % lanes];
    if (queue.ready()) return &queue;
  }
  return nullptr;
}

void Pool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    Queue* queue = nullptr;
    filled_.wait(lock, [&] { return (queue = next()) != nullptr || stopping_; });
    // Work that waits for a full lane is left to the threads that fill it.
    if (queue == nullptr) return;
    auto work = std::move(queue->waiting.front());
    queue->waiting.pop_front();
    ++queue->running;
    lock.unlock();
    run_contained(std::move(work));  // without the lock: its destruction may add work
    lock.lock();
    --queue->running;
  }
}

void Strand::run(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(work));
    if (running_) return;
    running_ = true;
  }
  next_turn();
}

// After the end of the pool, nothing queued here will run. The queue may own an object that owns this strand, so it is
// cleared.
void Strand::next_turn() {
  if (pool_.run([self = shared_from_this()] { self->turn(); }, lane_)) return;
  std::deque<std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(waiting_);
  running_ = false;
}

void Strand::turn() {
  std::function<void()> work;
  {
    const std::lock_guard lock(mutex_);
    work = std::move(waiting_.front());
    waiting_.pop_front();
  }
  run_contained(std::move(work));
  {
    const std::lock_guard lock(mutex_);
    running_ = !waiting_.empty();
    if (!running_) return;
  }
  next_turn();
}

}  // namespace edgefleet::http_server
