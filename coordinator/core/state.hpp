// Everything the coordinator knows while it runs: the tasks that have no outcome yet, and the fleet.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/backoff.hpp"
#include "coordinator/core/conversations.hpp"
#include "coordinator/core/deadlines.hpp"
#include "coordinator/core/event.hpp"
#include "coordinator/core/placement.hpp"

namespace edgefleet::coordinator {

// Bounds and graces. Durations as in docs/architecture.md, "A task's life".
struct Policy {
  std::size_t most_tasks = 1'000'000;               // without an outcome
  std::size_t most_bytes = 512 * 1024 * 1024;  // of those tasks together: inputs, names, conditions
  std::size_t most_agents = 20'000;
  Duration silence = heartbeat_interval * heartbeats_missed_until_lost;
  Duration shortest_grace = std::chrono::seconds(2);
  Duration longest_grace = std::chrono::seconds(60);
  double grace_share = 0.1;     // of the run so far
  Backoff retry;                // after a retryable failure
  int most_returns = 20;  // of a task that is placed again at once; after more it pauses as after a failure
  int most_unspent_losses = 10;  // a loss that costs no attempt is not free for ever
  Duration result_patience = std::chrono::seconds(60);  // at least, for a result that is said to be there
  int most_resends = 2;  // of a task to an agent that shows no sign of getting any
  Duration deaf_for = std::chrono::minutes(5);
  Duration recall_after = std::chrono::seconds(2);  // what waits at an agent for longer than was expected
  Duration announce_every = heartbeat_interval;  // to agents whose beats do not name us
  Duration outgrow_every = std::chrono::minutes(1);  // what one agent claims
};

struct Task {
  TaskRecord record;
  struct Durable {
    TaskState state;
    int attempt = 0;  // the newest one
  };
  std::optional<Durable> durable;  // as the store has it; none: not yet
  std::optional<ClassIndex> queued_in;
  std::optional<Time> due;
  std::optional<Time> expires;
  AgentName avoid;  // failed it last; ranks last
  Time patient_until{};  // before it waits for an agent that has its model loaded
  std::uint64_t conversation = 0;  // hash of all its messages; 0: none
  AgentName near;                  // holds the beginning of its conversation
  std::optional<ClassIndex> queued_near;  // beside queued_in: whoever comes first takes it out of both
};

struct Agent {
  AgentName name;
  AgentIndex index = 0;
  SessionId session;  // the newest that was heard of
  AgentStatus status;
  AgentState said = AgentState::online;  // what it last said itself, while it was there
  std::optional<AgentInfo> info;
  std::optional<Heartbeat> beat;  // the last one, without its list
  std::optional<Temperature> temperature;
  bool beat_names_us = false;     // the last beat of this session echoes our reign
  std::optional<Time> outgrown_at;  // when our epoch last grew because of its beat
  bool drained = false;           // by the operator
  bool silent = false;            // beats are overdue
  std::optional<Time> deaf_until;  // it beats, but none of our messages reach it: nothing more until then
  std::uint64_t n = 0;            // of the last message to it
  Time last_heard;
  WallTime since;                 // of its present state, for people
  std::int64_t skew_ms = 0;       // its clock minus ours
  std::vector<ExecutorIndex> executors;
  std::unordered_map<TaskId, int> attempts;  // that it was given and that have not ended
  std::optional<TaskId> alone;           // the one of them beside which there must be no other
};

struct State {
  explicit State(Reign own, std::uint64_t seed) : reign(std::move(own)), ids(seed), random(seed) {}

  Policy policy;
  Reign reign;
  bool connected = false;
  bool over = false;  // another coordinator has taken over: what comes until the program has stopped is its affair
  Time announced_at;  // when we last said who we are
  std::unordered_map<TaskId, Task> tasks;
  std::unordered_set<TaskId> on_hold;  // since a restore: not placed until an operator releases them
  std::unordered_map<BatchId, std::size_t> batch_rest;  // tasks of a batch that have no outcome yet
  std::size_t bytes = 0;  // what the tasks weigh
  Deadlines<TaskId> task_deadlines;  // scheduled: due or expiry; queued: expiry; assigned, running: end of grace
  std::vector<Agent> agents;         // an agent keeps its index
  std::unordered_map<AgentName, AgentIndex> agent_index;
  Deadlines<AgentIndex> silence;
  Deadlines<AgentIndex> recalls;  // agents that were given more than their slots
  std::map<ClassIndex, AgentIndex> clearing;  // agents that get nothing new, so that a task can be alone there
  Placement placement;
  Conversations conversations;
  UlidSource ids;
  std::uint64_t random;
  // Milliseconds that order the queue: begin at the wall clock, or where the store's last task is if that is later,
  // and then run on the monotonic clock, so that a jump of the wall clock reorders nothing.
  std::int64_t order_base = 0;
  std::optional<Time> order_start;
};

Task::Durable durable_state(const TaskRecord& record);

// An agent was lost while it ran: perhaps by its fault, so it is placed alone and spares the innocent.
bool suspect(const TaskRecord& record);

// To which of its agent's executors an attempt was given; empty if it is not known (any more).
ExecutorName executor_of(const State& state, const Task& task, int attempt);

// When the core wants its next Tick.
std::optional<Time> next_deadline(const State& state);

}  // namespace edgefleet::coordinator
