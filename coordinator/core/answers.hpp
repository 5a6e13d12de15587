// The answers to people and programs, as values: the shell makes them, the views show them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/channel.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::coordinator {

// The answer to a submitter, sent when its task is durable.
struct Acceptance {
  TaskId id;
  TaskState state = TaskState::queued;
  std::size_t ahead = 0;  // an estimate
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

// The answer to a drain or a resume.
struct Drained {
  AgentState state = AgentState::online;  // that it will report
  bool drained = false;
  std::size_t tasks = 0;  // on it at present; they go on
};

// The answer to an order to read the configuration again: what was known before the agent gets it.
struct Reloading {
  AgentState state = AgentState::online;
  SessionId session;
  std::uint64_t reloads = 0;  // the agent's info has a greater number when it has done it
};

// A part of a running task's output.
struct Part {
  AgentName agent;  // the sender
  int attempt = 1;
  Channel channel = Channel::content;
  std::uint64_t at = 0;  // byte offset in its channel
  std::string text;
};

// The progress of a running task, as last reported by its agent.
struct TaskProgress {
  std::string text;
  std::optional<int> percent;
  std::optional<std::uint64_t> completed_bytes;  // of a transfer
  std::optional<std::uint64_t> total_bytes;
  Time reported_at;
};

// The refusal of an order that comes too late.
inline Error already_ended(const TaskId& id, TaskState state) {
  const std::string how = (state == TaskState::cancelled ? "been " : "") + std::string(to_string(state));
  return Error{"task " + id.str() + " has already " + how, ErrorKind::conflict};
}

}  // namespace edgefleet::coordinator
