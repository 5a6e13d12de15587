// The child processes of the agent. A command has the rights of the agent, so it can kill or stop its supervisor
// (supervisor.hpp). The agent adopts the descendants of a killed supervisor (PR_SET_CHILD_SUBREAPER) and ends them.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <set>

#include "common/core/time.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent {

// Calls `use(child, context)` for each child of this process, zombies included. Safe after a fork in a process with
// threads.
void for_each_child(void (*use)(pid_t child, void* context), void* context);

// How long a supervisor may be silent.
struct Patience {
  explicit Patience(Duration most);
  Time until;
  int stops = 5;  // it is continued this often
};
// Waits until `fd` has data of the supervisor, or its end. Continues a supervisor that a command has stopped. False:
// the patience is over.
bool wait_for_supervisor(const UniqueFd& fd, pid_t supervisor, Patience& patience);

// One per agent. From any thread.
class Children {
 public:
  // The present children are not affected: the program that became the agent may have started them.
  Children();

  // `fork` returns the id of a supervisor, or -1.
  template <typename Fork>
  pid_t add(Fork fork) {
    const std::lock_guard lock(mutex_);
    const pid_t supervisor = fork();
    if (supervisor > 0) known_.insert(supervisor);
    return supervisor;
  }
  // The leader's id is the group's, so it is not reaped here until it is removed.
  void add_leader(pid_t leader);
  void remove(pid_t supervisor, pid_t leader);

  // Ends all adopted processes. False: some could not be ended within `patience`.
  bool end_orphans(Duration patience);

 private:
  bool end_present_orphans();

  std::mutex mutex_;
  std::set<pid_t> known_;
};

}  // namespace edgefleet::agent
