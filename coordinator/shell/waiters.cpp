#include "coordinator/shell/waiters.hpp"

#include <vector>

namespace edgefleet::coordinator {

Waiters::Ticket::Ticket(Waiters& waiters, const Ulid& id, Callback callback) : waiters_(waiters), id_(id) {
  {
    const std::lock_guard lock(waiters_.mutex_);
    number_ = ++waiters_.last_;
    if (!waiters_.stopping_) {
      waiters_.waiting_.emplace(std::pair(id_, number_), std::move(callback));
      return;
    }
  }
  callback();
}

Waiters::Ticket::~Ticket() {
  Callback forgotten;  // its destructor may need the lock
  const std::lock_guard lock(waiters_.mutex_);
  if (const auto found = waiters_.waiting_.find({id_, number_}); found != waiters_.waiting_.end()) {
    forgotten = std::move(found->second);
    waiters_.waiting_.erase(found);
  }
}

void Waiters::notify(const Ulid& id) {
  std::vector<Callback> callbacks;
  {
    const std::lock_guard lock(mutex_);
    auto at = waiting_.lower_bound({id, 0});
    while (at != waiting_.end() && at->first.first == id) {
      callbacks.push_back(std::move(at->second));
      at = waiting_.erase(at);
    }
  }
  for (const auto& callback : callbacks) callback();
}

void Waiters::committed(const Changes& changes, const State&) {
  for_each_ended(
      changes, [this](const TaskId& task) { notify(task); }, [this](const BatchId& batch) { notify(batch); });
}

void Waiters::stop() {
  std::map<std::pair<Ulid, std::uint64_t>, Callback> all;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    all.swap(waiting_);
  }
  for (const auto& [key, callback] : all) callback();
}

}  // namespace edgefleet::coordinator
