// The state of a running coordinator: the tasks that have no outcome yet, and the fleet.
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
#include "common/core/token_bucket.hpp"
#include "coordinator/core/budgets.hpp"
#include "coordinator/core/clients.hpp"
#include "coordinator/core/conditions.hpp"
#include "coordinator/core/conversations.hpp"
#include "coordinator/core/deadlines.hpp"
#include "coordinator/core/event.hpp"
#include "coordinator/core/placement.hpp"

namespace edgefleet::coordinator {

// Bounds and graces. docs/architecture.md, "A task's life", explains the durations.
struct Policy {
  std::size_t most_tasks = 1'000'000;               // without an outcome
  std::size_t most_bytes = 512 * 1024 * 1024;  // of those tasks together: inputs, names, conditions, errors of attempts
  std::uint64_t most_file_bytes = 8ULL * 1024 * 1024 * 1024;  // of inputs that are files: the quota of artifacts
  std::uint64_t max_task_bytes = limits::usual_task_bytes;  // of an input, and of an output
  std::size_t most_agents = 20'000;
  std::size_t most_info_bytes = 64 * 1024 * 1024;  // of the infos of all agents
  // Once there are most_agents, a look at all of them finds so many that may be forgotten, and is not repeated before
  // this time if it finds none.
  std::size_t dispensable_at_once = 256;
  Duration look_again_after = std::chrono::milliseconds(100);
  double info_burst = 20;  // changed infos of one agent, then one per interval
  Duration info_spacing = std::chrono::seconds(5);
  std::size_t most_conditions = 4'000;  // different ones, of unfinished tasks
  std::size_t most_conditions_of_one = 1'000;  // client
  Duration silence = heartbeat_interval * heartbeats_missed_until_lost;
  Duration shortest_grace = std::chrono::seconds(2);
  Duration longest_grace = std::chrono::seconds(60);
  double grace_share = 0.1;  // of the run time so far
  Backoff retry;  // after a retryable failure
  Duration longest_retry_after = std::chrono::hours(1);  // that an agent may ask for
  std::size_t most_reason_bytes = 512;  // of a past attempt; the outcome's own is longer
  int most_returns = 20;  // of a task that is placed again at once; after further ones it pauses as after a failure
  int most_unspent_losses = 10;  // losses that do not count against max_attempts; further ones count
  Duration result_patience = std::chrono::seconds(60);  // minimum, for a result that a beat lists as done
  int most_resends = 2;  // of a task to an agent whose beats do not confirm any message
  Duration unreachable_for = std::chrono::minutes(5);  // pause before the next try with such an agent
  Duration recall_after = std::chrono::seconds(2);  // a task that waits at an agent for longer is recalled
  Duration introduce_every = heartbeat_interval;  // requests to an agent that does not follow us or lacks its info
  std::size_t most_parameter_bytes = 16 * 1024 * 1024;  // of descriptions of inputs
  std::size_t most_parameters_asked = 4096;
  Duration describe_every = std::chrono::seconds(30);  // before a description is asked for again
  Duration raise_epoch_every = std::chrono::minutes(1);  // minimum time between two raises of our epoch for one agent
  bool count_tokens = false;  // without accesses nobody has a budget
};

// Descriptions of inputs (JSON Schema), which agents name by digest. Each is fetched once, from one of its agents.
struct Parameters {
  std::unordered_map<std::string, JsonText> known;  // by digest
  std::size_t bytes = 0;  // of the known ones
  std::unordered_map<std::string, Time> asked;  // when
};

struct Task {
  TaskRecord record;
  ClientIndex client = 0;
  struct Durable {
    TaskState state;
    int attempt = 0;  // the newest
  };
  std::optional<Durable> durable;  // as stored; none: not stored yet
  std::optional<ClassIndex> queued_in;
  std::optional<Time> due;
  std::optional<Time> expires;
  AgentName avoid;  // the agent that failed it last; ranks last
  Time patient_until{};  // until then it waits for an agent that has its model loaded
  std::uint64_t conversation = 0;  // hash of all its messages; 0: none
  AgentName near;  // the agent that has read the beginning of its conversation
  std::optional<ClassIndex>
      queued_near;  // besides queued_in: when it is placed from one of the two, it is removed from both
};

struct Agent {
  AgentName name;
  AgentIndex index = 0;
  SessionId session;  // the newest that was reported
  AgentStatus status;
  AgentState reported = AgentState::online;  // by the agent itself, when it was last online
  std::optional<AgentInfo> info;
  std::size_t info_bytes = 0;
  TokenBucket info_credit;  // for changed infos
  std::optional<Time> introduction_asked_at;
  std::optional<Heartbeat> beat;  // the last one, without its list of tasks
  std::optional<Temperature> temperature;
  bool beat_names_us = false;  // the last beat of this session names our reign
  std::optional<Time> epoch_raised_at;  // when our epoch was last raised because of its beat
  bool drained = false;  // by the operator
  bool silent = false;  // beats are overdue
  std::optional<Time> unreachable_until;  // its beats arrive, but our messages do not reach it: no tasks until then
  std::uint64_t n = 0;  // of the last message to it
  Time last_heard;
  std::optional<WallTime> since;  // of its present state; none: before this coordinator began. Shown to people
  std::int64_t skew_ms = 0;  // its clock minus ours
  std::vector<ExecutorIndex> executors;
  std::unordered_map<TaskId, int> attempts;  // that were assigned to it and have not ended
  std::optional<TaskId> alone;  // the task that must run alone, if one is assigned to it
};

struct State {
  explicit State(Reign own, std::uint64_t seed) : reign(std::move(own)), ids(seed), random(seed) {}

  Policy policy;
  Reign reign;
  bool connected = false;
  bool over = false;  // another coordinator has taken over: events are left to it until this program has stopped
  std::unordered_map<TaskId, Task> tasks;
  std::unordered_set<TaskId> on_hold;  // since a restore: not placed until an operator releases them
  std::unordered_map<BatchId, std::size_t> batch_rest;  // tasks of a batch that have no outcome yet
  Clients clients;
  Budgets budgets;
  Conditions conditions;
  std::size_t info_bytes = 0;  // of all agents
  std::size_t bytes = 0;  // the weight() of all tasks
  Deadlines<TaskId> task_deadlines;  // scheduled: due or expiry; queued: expiry; assigned, running: end of grace
  std::vector<Agent> agents;  // an agent keeps its index; a place without a name is vacant
  std::vector<AgentIndex> vacant;
  std::vector<AgentIndex> dispensable;  // agents that may be forgotten, as they were last looked at; the oldest last
  Time look_again_at{};
  std::unordered_map<AgentName, AgentIndex> agent_index;
  Deadlines<AgentIndex> silence;
  Deadlines<AgentIndex> recalls;  // agents that were given more tasks than they have slots
  std::map<ClassIndex, AgentIndex> clearing;  // agents that get no new tasks, so that a task can run alone there
  Placement placement;
  Conversations conversations;
  Parameters parameters;
  UlidSource ids;
  std::uint64_t random;
  // Milliseconds that order the queue. They begin at the wall clock, or at the last task in the store if that is later,
  // and then follow the monotonic clock, so that a jump of the wall clock does not change the order.
  std::int64_t order_base = 0;
  std::optional<Time> order_start;
};

Task::Durable durable_state(const TaskRecord& record);

// The task may be what took its agents down, so it runs alone and harms no other task: it lost two agents, or one and
// its next attempt is the last. (A power cut is more frequent than such a task: after one loss it is not suspected
// yet.)
bool suspect(const TaskRecord& record);

// The executor that an attempt was assigned to; empty: not known, or no longer known.
ExecutorName executor_of(const State& state, const Task& task, int attempt);

// The time of the next Tick that the core needs.
std::optional<Time> next_deadline(const State& state);

}  // namespace edgefleet::coordinator
