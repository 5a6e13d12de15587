// One try of a task on one agent: the fields that are stored and shown, and the lease, which only the running
// coordinator has.
#pragma once

#include <cstdint>
#include <optional>

#include "common/core/task.hpp"
#include "coordinator/core/indices.hpp"

namespace edgefleet::coordinator {

// The agent holds it until a beat no longer lists the attempt, or until no beat comes in time.
struct Lease {
  std::uint64_t n = 0;  // number of the last message that contained it; 0: not sent in this reign
  Time sent_at;
  std::optional<Time> first_sent_at;  // in this life of the coordinator
  bool listed = false;                // by any beat of its agent
  std::optional<Time> running_since;
  std::optional<Time> done_since;  // listed as done: its result is expected
  bool listed_waiting = false;     // by the agent's last beat
  bool stopping = false;           // its agent was told to stop it: it cannot be taken back
  int resends = 0;                 // of its message, while no beat shows that one has arrived
  std::optional<ExecutorIndex> executor;  // the attempt uses one of its slots
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
