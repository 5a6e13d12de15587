// What a run or an earlier life of the agent leaves behind, and how it is removed.
#pragma once

#include <string>

#include "common/core/result.hpp"
#include "edge-agent/executors/executor_log.hpp"

namespace edgefleet::agent {

// Everything at `path`, following no links, also where a command took away its own permissions. Nothing there: well.
Status remove_tree(const std::string& path);

// All folders in `work_dir` whose names are those of attempts; anything else there is somebody's own.
void remove_attempts(const std::string& work_dir, const ExecutorLog& log);

// Kills every process of this user, but this one, with `name=value` in its environment; how many. This finds what
// PR_SET_PDEATHSIG cannot: descendants of children of an agent that was killed.
int kill_processes_of(const std::string& name, const std::string& value);

}  // namespace edgefleet::agent
