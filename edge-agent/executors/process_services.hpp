// What executors that run processes share; one of each in an agent.
#pragma once

#include <memory>

#include "edge-agent/executors/executor_log.hpp"
#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent {

class ScratchRoot;
class Spawner;

struct ProcessServices {
  std::shared_ptr<Spawner> spawner;
  std::shared_ptr<ScratchRoot> scratch;
  std::shared_ptr<ArtifactStore> artifacts;
  ExecutorLog log;
};

}  // namespace edgefleet::agent
