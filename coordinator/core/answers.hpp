// What people and programs are told, as values: the shell makes them, the views show them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::coordinator {

// To a submitter, once its task is durable.
struct Acceptance {
  TaskId id;
  TaskState state = TaskState::queued;
  std::size_t ahead = 0;
  std::size_t eligible_agents = 0;
  std::string waiting;
};
struct BatchAcceptance {
  BatchId id;
  std::vector<TaskId> tasks;
};
struct Retried {
  std::size_t tasks = 0;
  std::vector<std::pair<TaskId, Error>> refused;
};

// A part of a running task's output.
struct Part {
  AgentName agent;  // that sent it
  int attempt = 1;
  bool reasoning = false;
  std::uint64_t at = 0;  // byte offset in its channel
  std::string text;
};

// How far a running task is, as its agent has last said.
struct TaskProgress {
  std::string text;
  std::optional<int> percent;
  std::optional<std::uint64_t> completed_bytes;  // of a transfer
  std::optional<std::uint64_t> total_bytes;
  Time said;
};

}  // namespace edgefleet::coordinator
