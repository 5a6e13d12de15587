// Starts child processes for all executors of an agent, each below a supervisor of its own (supervisor.hpp): when its
// Process is finished, or the agent dies, all descendants of the child are killed.
#pragma once

#include <memory>

#include "common/core/result.hpp"
#include "edge-agent/executors/process/process.hpp"

namespace edgefleet::agent {

class Spawner {
 public:
  // From any thread. Waits until the exec of the child has succeeded or failed.
  Result<Process> spawn(const ProcessSpec& spec) const;
  // For freezing by heat, and the clock of timeouts.
  [[nodiscard]] const std::shared_ptr<ProcessGroups>& groups() const { return groups_; }

 private:
  std::shared_ptr<ProcessGroups> groups_ = std::make_shared<ProcessGroups>();
};

}  // namespace edgefleet::agent
