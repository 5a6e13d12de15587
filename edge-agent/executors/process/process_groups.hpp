// The process groups of all runs, so that a hot agent can freeze them: they are stopped and continued together, and a
// clock pauses meanwhile. Timeouts of runs are measured on that clock.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <set>

#include "common/core/time.hpp"

namespace edgefleet::agent {

class ProcessGroups {
 public:
  // Stops (SIGSTOP) or continues (SIGCONT) all groups. A duty cycle calls it with true and false in turn.
  void freeze(bool frozen);
  // Monotonic time less all the time spent frozen.
  [[nodiscard]] Time now() const;

  void add(pid_t group);
  // To be called before the leader is reaped, because its id may be reused after that. Continues the group.
  void remove(pid_t group);

 private:
  mutable std::mutex mutex_;
  std::set<pid_t> groups_;
  bool frozen_ = false;
  Time frozen_at_{};
  Duration frozen_for_{0};
};

}  // namespace edgefleet::agent
