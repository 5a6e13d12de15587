// The process between the agent and a command. It adopts descendants that left the command's group and session when
// their parents end (PR_SET_CHILD_SUBREAPER), so it finds all of them, even with a changed environment; and it kills
// them all once the lifeline is closed, by the agent or by the agent's death. The command has the same user and may
// kill or stop it: see children.hpp.
#pragma once

#include <sys/types.h>

#include <chrono>

#include "edge-agent/executors/process/child.hpp"

namespace edgefleet::agent {

// For processes that a SIGKILL does not end at once; it cannot end those of other users (setuid programs).
inline constexpr std::chrono::seconds sweep_patience{10};

// In addition, for a supervisor that is hindered, and again for the processes that it leaves to the agent.
inline constexpr std::chrono::seconds orphan_patience{2};
// For the start of a supervisor and the exec of its command.
inline constexpr std::chrono::seconds start_patience{30};

// The messages of a supervisor, in this order; each is smaller than PIPE_BUF, so its write is atomic. An end of the
// stream without the last one: the supervisor itself was killed, and the leader with it.
struct SupervisorNews {
  enum class What : int { started, not_started, exited, swept };
  What what = What::started;
  pid_t leader = -1;  // started. It is not reaped until the lifeline is closed, so its id is not reused
  int error = 0;      // not_started
  int code = 0;       // exited: si_code and si_status of waitid()
  int status = 0;
  int left = 0;       // swept: 1 if a process could not be killed within the patience
};

// In a process forked for it, with all signals blocked. Calls only functions that are safe after a fork in a process
// with threads: no allocation, no locks, no stdio.
[[noreturn]] void supervise(ChildPlan plan, int lifeline, int news);

}  // namespace edgefleet::agent
