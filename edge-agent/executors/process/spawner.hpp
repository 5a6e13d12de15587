// Starts child processes for all executors of an agent, each below a supervisor of its own (supervisor.hpp): when its
// Process is finished, or the agent dies, all descendants of the child are killed. One per program: it adopts the
// orphans of a supervisor that was killed (children.hpp).
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>

#include "common/core/result.hpp"
#include "edge-agent/executors/process/process.hpp"
#include "edge-agent/executors/process/sandbox.hpp"

namespace edgefleet::agent {

class Spawner {
 public:
  // `umask`: of the children; none: this process's. `sandbox`: of the children; null: none.
  explicit Spawner(std::optional<mode_t> umask = std::nullopt, std::shared_ptr<Sandbox> sandbox = nullptr)
      : umask_(umask), sandbox_(std::move(sandbox)) {}

  // From any thread. Waits until the exec of the child has succeeded or failed, at most `start_patience`.
  Result<Process> spawn(const ProcessSpec& spec) const;
  // What the sandbox hides from children that start from now on, instead of what it hid before.
  void hide(std::vector<std::string> hidden) const {
    if (sandbox_) sandbox_->hide(std::move(hidden));
  }
  // For freezing by heat, and the clock of timeouts.
  [[nodiscard]] const std::shared_ptr<ProcessGroups>& groups() const { return groups_; }

 private:
  std::optional<mode_t> umask_;
  std::shared_ptr<Sandbox> sandbox_;
  std::shared_ptr<Children> children_ = std::make_shared<Children>();
  std::shared_ptr<ProcessGroups> groups_ = std::make_shared<ProcessGroups>();
};

}  // namespace edgefleet::agent
