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

bool Pool::run(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    waiting_.push_back(std::move(work));
  }
  filled_.notify_one();
  return true;
}

void Pool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    filled_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    run_contained(std::move(work));  // without the lock: its destruction may add work
    lock.lock();
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
  if (pool_.run([self = shared_from_this()] { self->turn(); })) return;
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
