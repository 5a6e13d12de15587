// The process between the agent and a command. Descendants that left the command's group and session come to it when
// their parents end (PR_SET_CHILD_SUBREAPER), so it finds every one of them, whatever they did to their environment;
// and it ends them all once the agent has let go of the lifeline: by closing it, or by dying.
#pragma once

#include <sys/types.h>

#include <chrono>

#include "edge-agent/executors/process/child.hpp"

namespace edgefleet::agent {

// For processes that a SIGKILL does not end at once; those of other users (setuid programs) it never ends.
inline constexpr std::chrono::seconds sweep_patience{10};

// What a supervisor writes, in this order; each is smaller than PIPE_BUF, so it comes whole. The end of the stream
// without the last one: the supervisor itself was killed, and the leader with it.
struct SupervisorNews {
  enum class What : int { started, not_started, exited, swept };
  What what = What::started;
  pid_t leader = -1;  // started. It stays unreaped until the lifeline is closed, so its number keeps its meaning
  int error = 0;      // not_started
  int code = 0;       // exited: si_code and si_status of waitid()
  int status = 0;
  int left = 0;       // swept: 1 if something could not be killed within the patience
};

// In a process forked for it, with all signals blocked. Calls only what is safe after a fork in a process with
// threads: no allocation, no locks, no stdio.
[[noreturn]] void supervise(ChildPlan plan, int lifeline, int news);

}  // namespace edgefleet::agent
