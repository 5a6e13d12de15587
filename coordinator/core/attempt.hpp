// One try of a task on one agent: what the store keeps of it and people read, and what only this life of the
// coordinator knows.
#pragma once

#include <cstdint>
#include <optional>

#include "common/core/task.hpp"
#include "coordinator/core/indices.hpp"

namespace edgefleet::coordinator {

// Held by the agent until a beat no longer lists the attempt, or none comes in time.
struct Lease {
  std::uint64_t n = 0;  // number of the message that last carried it; 0: not sent in this reign
  Time sent_at;
  std::optional<Time> running_since;
  std::optional<Time> done_since;  // listed as done: its result should have come
  bool listed_waiting = false;     // by the agent's last beat
  int resends = 0;                 // of its message, without a sign that any arrived
  std::optional<ExecutorIndex> executor;  // whose slot it counts against
  friend bool operator==(const Lease&, const Lease&) = default;
};

struct Attempt {
  int n = 1;
  AgentName agent;
  SessionId session;  // of the agent, when it was assigned
  AttemptState state = AttemptState::assigned;
  bool spent = true;  // counts against max_attempts
  WallTime assigned_at;
  std::optional<WallTime> started_at;
  std::optional<WallTime> ended_at;
  std::optional<TaskError> error;
  Lease lease{};  // not stored
  friend bool operator==(const Attempt&, const Attempt&) = default;
};

}  // namespace edgefleet::coordinator
