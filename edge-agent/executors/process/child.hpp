// The code of a forked child up to its exec.
#pragma once

#include <sys/types.h>

#include <string_view>

namespace edgefleet::agent {

// All memory is allocated before the fork.
struct ChildPlan {
  const char* program = nullptr;
  char* const* argv = nullptr;
  char* const* env = nullptr;
  const char* cwd = nullptr;  // null: unchanged
  int stdio[3] = {-1, -1, -1};  // each above 2
  int report = -1;              // closed by a successful exec; otherwise receives a ChildFailure
  pid_t parent = -1;            // the supervisor
  std::string_view oom_score_adj;  // for the supervisor, which lends it to the child
  int umask = -1;                  // -1: unchanged
  int ruleset = -1;                // of its sandbox; -1: none
};

enum class ChildStep : int { die_with_parent, session, directory, stdio, sandbox, exec };
struct ChildFailure {
  ChildStep step = ChildStep::exec;
  int error = 0;
};

// In the child. Calls only functions that are safe after a fork with threads: no allocation, no locks, no stdio.
[[noreturn]] void become(const ChildPlan& plan);

}  // namespace edgefleet::agent
