// Starts child processes for all executors of an agent, each below a supervisor of its own (supervisor.hpp): when its
// Process is finished, or the agent dies, nothing that the child has started is left.
#pragma once

#include <memory>

#include "common/core/result.hpp"
#include "edge-agent/executors/process/process.hpp"

namespace edgefleet::agent {

class Spawner {
 public:
  // From any thread. Waits until the child is the program, or could not become it.
  Result<Process> spawn(const ProcessSpec& spec) const;
  // Heat, and the clock that timeouts run on.
  [[nodiscard]] const std::shared_ptr<ProcessGroups>& groups() const { return groups_; }

 private:
  std::shared_ptr<ProcessGroups> groups_ = std::make_shared<ProcessGroups>();
};

}  // namespace edgefleet::agent
