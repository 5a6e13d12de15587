// What a commit changed, for listeners: one change of a kind and subject for each commit, from the last durable state
// to the new one. What came and went within one drain is not in it.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/task.hpp"

namespace edgefleet::coordinator {

struct TaskChanged {
  TaskId id;
  std::optional<TaskState> from;  // none: the task is new
  TaskState to = TaskState::queued;
  int attempt = 0;  // the newest one; 0: none yet
  AgentName agent;  // of that attempt
};
struct BatchEnded {
  BatchId id;
};  // each of its tasks has its outcome
struct AgentChanged {
  AgentName agent;
  std::optional<AgentState> from;  // none: the agent is new
  AgentState to = AgentState::offline;
};
struct TemperatureChanged {
  AgentName agent;
};
struct LoadedModelsChanged {
  AgentName agent;
};

using Change = std::variant<TaskChanged, BatchEnded, AgentChanged, TemperatureChanged, LoadedModelsChanged>;
using Changes = std::vector<Change>;

}  // namespace edgefleet::coordinator
