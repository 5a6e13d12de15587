#include "edge-agent/executors/process/process_groups.hpp"

#include <csignal>

#include "common/system/clock.hpp"

namespace edgefleet::agent {

void ProcessGroups::freeze(bool frozen) {
  const std::lock_guard lock(mutex_);
  if (frozen == frozen_) return;
  frozen_ = frozen;
  if (frozen) {
    frozen_at_ = monotonic_now();
  } else {
    frozen_for_ += monotonic_now() - frozen_at_;
  }
  for (const pid_t group : groups_) ::kill(-group, frozen ? SIGSTOP : SIGCONT);
}

Time ProcessGroups::now() const {
  const std::lock_guard lock(mutex_);
  return (frozen_ ? frozen_at_ : monotonic_now()) - frozen_for_;
}

void ProcessGroups::add(pid_t group) {
  const std::lock_guard lock(mutex_);
  groups_.insert(group);
  if (frozen_) ::kill(-group, SIGSTOP);
}

void ProcessGroups::remove(pid_t group) {
  const std::lock_guard lock(mutex_);
  if (groups_.erase(group) != 0 && frozen_) ::kill(-group, SIGCONT);
}

}  // namespace edgefleet::agent
