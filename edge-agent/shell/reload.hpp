// A configuration that was read while the agent works.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "edge-agent/core/heat.hpp"
#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent {

struct NewConfiguration {
  int max_tasks = 0;
  std::uint64_t max_task_bytes = 0;
  Duration stop_grace{};
  HeatLimits heat;
  std::map<std::string, std::string> labels;
  std::vector<std::unique_ptr<Executor>> executors;  // the added and the changed ones, not yet started
  std::vector<ExecutorName> changed;
  std::vector<ExecutorName> removed;
  std::string changes;  // for people; empty: nothing has changed
  std::string restart;  // settings that have another value in the file now, which needs a restart
};

// An error: the file is bad, and nothing has changed.
using ReadAgain = std::function<Result<NewConfiguration>()>;

}  // namespace edgefleet::agent
