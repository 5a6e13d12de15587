// What has changed in the fleet, for programs that follow it: small values, made on the loop's thread, and written as
// text by whoever sends them. They have no inputs, outputs or messages of errors.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/task.hpp"
#include "coordinator/core/records.hpp"

namespace edgefleet::coordinator::events {

struct TaskEvent {
  TaskId id;
  Capability capability;
  std::string name;
  std::string submitter;
  std::optional<BatchId> batch;
  std::optional<TaskState> from;  // none: the task is new
  TaskState state = TaskState::queued;
  int attempt = 0;  // the newest; 0: none yet
  AgentName agent;  // of that attempt
  std::string error;  // its code, if the task has failed
};
// `from`, `state`, `attempt`: as they are durable; the rest is the record's.
TaskEvent task_event(const TaskRecord& record, std::optional<TaskState> from, TaskState state, int attempt);
struct BatchEvent {
  BatchId id;
  std::string submitter;  // empty: not known
};  // all its tasks have ended
struct AgentEvent {
  AgentName agent;
  std::optional<AgentState> from;  // none: the agent is new
  std::optional<AgentState> state;  // none: the agent was forgotten
};
struct TemperatureEvent {
  AgentName agent;
  Temperature temperature;
};
struct ModelEvent {
  AgentName agent;
  std::vector<std::string> loaded;  // models, of all executors
};

struct Event {
  WallTime at;
  std::variant<TaskEvent, BatchEvent, AgentEvent, TemperatureEvent, ModelEvent> what;
};

enum class Type { task, batch, agent, temperature, model };
inline constexpr std::size_t type_count = 5;
std::string_view to_string(Type type);
std::optional<Type> parse_type(std::string_view text);
inline Type type_of(const Event& event) { return static_cast<Type>(event.what.index()); }

std::size_t bytes_of(const Event& event);  // of memory, about
std::string data_of(const Event& event);  // a JSON object

// What one listener gets.
struct Filter {
  std::array<bool, type_count> types{true, true, true, true, true};
  AgentName agent;        // empty: all
  Capability capability;  // empty: all; otherwise only events of tasks
  std::optional<BatchId> batch;
  std::optional<TaskId> task;
  std::optional<std::string> own;  // only tasks and batches of this submitter, present clients included
  [[nodiscard]] bool takes(const Event& event) const;
};

}  // namespace edgefleet::coordinator::events
