#include "coordinator/shell/waiters.hpp"

namespace edgefleet::coordinator {

struct Waiters::Ticket::Bell {
  std::condition_variable rings;
  bool ended = false;
};

Waiters::Ticket::Ticket(Waiters& waiters, const Ulid& id) : waiters_(waiters), id_(id) {
  const std::lock_guard lock(waiters_.mutex_);
  auto& entry = waiters_.bells_[id];
  bell_ = entry.lock();
  if (!bell_) entry = bell_ = std::make_shared<Bell>();
}

Waiters::Ticket::~Ticket() {
  const std::lock_guard lock(waiters_.mutex_);
  bell_.reset();
  const auto entry = waiters_.bells_.find(id_);
  if (entry != waiters_.bells_.end() && entry->second.expired()) waiters_.bells_.erase(entry);
}

bool Waiters::Ticket::wait_until(Time until) {
  std::unique_lock lock(waiters_.mutex_);
  bell_->rings.wait_until(lock, std::chrono::steady_clock::time_point(until.time_since_epoch()),
                          [&] { return bell_->ended || waiters_.stopping_; });
  return bell_->ended;
}

void Waiters::notify(const Ulid& id) {
  const std::lock_guard lock(mutex_);
  const auto entry = bells_.find(id);
  if (entry == bells_.end()) return;
  if (const auto bell = entry->second.lock()) {
    bell->ended = true;
    bell->rings.notify_all();
  }
  bells_.erase(entry);
}

void Waiters::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (const auto& [id, weak] : bells_) {
    if (const auto bell = weak.lock()) bell->rings.notify_all();
  }
}

}  // namespace edgefleet::coordinator
