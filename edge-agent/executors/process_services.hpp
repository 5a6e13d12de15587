// Services that executors with processes share; one of each per agent.
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
