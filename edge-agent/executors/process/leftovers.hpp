// Removes the remains of a run, or of an earlier run of the agent.
#pragma once

#include <string>

#include "common/core/result.hpp"
#include "edge-agent/executors/executor_log.hpp"

namespace edgefleet::agent {

// Removes all folders in `work_dir` that are named after attempts, and nothing else.
void remove_attempts(const std::string& work_dir, const ExecutorLog& log);

// Kills all other processes of this user with `name=value` in their environment; returns their number. This finds
// processes that PR_SET_PDEATHSIG cannot: descendants of children of an agent that was killed.
int kill_processes_of(const std::string& name, const std::string& value);

}  // namespace edgefleet::agent
