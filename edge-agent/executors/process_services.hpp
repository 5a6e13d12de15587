// Services that executors with processes share; one of each per agent.
#pragma once

#include <memory>
#include <stop_token>

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
  std::stop_token at_once{};  // the agent must end at once: no process has time to end by itself
};

}  // namespace edgefleet::agent
