// The changes of a commit, for listeners: for each commit at most one change of a kind and subject, from the last
// durable state to the new one. States that began and ended within one drain are not reported.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/task.hpp"

namespace edgefleet::coordinator {

struct TaskChanged {
  TaskId id;
  std::optional<TaskState> from;  // none: the task is new
  TaskState to = TaskState::queued;
  int attempt = 0;  // the newest; 0: none yet
  AgentName agent;  // of that attempt
};
struct BatchEnded {
  BatchId id;
};  // all its tasks have their outcome
struct AgentChanged {
  AgentName agent;
  std::optional<AgentState> from;  // none: the agent is new
  std::optional<AgentState> to;  // none: the agent was forgotten
};
struct TemperatureChanged {
  AgentName agent;
};
struct LoadedModelsChanged {
  AgentName agent;
};

// What an agent offers: its executors and their capabilities.
struct OffersChanged {
  AgentName agent;
};
struct ParametersLearned {
  std::string digest;
};

using Change = std::variant<TaskChanged, BatchEnded, AgentChanged, TemperatureChanged, LoadedModelsChanged,
                            OffersChanged, ParametersLearned>;
using Changes = std::vector<Change>;

}  // namespace edgefleet::coordinator
