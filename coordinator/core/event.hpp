// The inputs of the coordinator's core. Everything from outside has been parsed and checked before it becomes an event.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/task.hpp"
#include "coordinator/core/records.hpp"

namespace edgefleet::coordinator {

struct Now {
  Time mono;
  WallTime wall;
};

// Identifies a request from outside that waits for its answer; the shell assigns the numbers.
using RequestId = std::uint64_t;

struct SubmitTasks {
  RequestId request = 0;
  std::string submitter;
  struct Batch {
    std::string idempotency_key;
    std::string fingerprint;  // of what was submitted, to tell a repetition from another batch
  };
  std::optional<Batch> batch;  // the tasks are one batch, and share its key
  struct One {
    TaskSpec spec;
    std::string idempotency_key;  // only of a single task
    std::vector<std::uint64_t> beginnings{};  // of the conversation that it continues: see conversations.hpp
    std::uint64_t tokens = 0;  // that it is expected to take
  };
  std::vector<One> tasks;  // all or none are accepted
  std::uint64_t tokens_per_day = 0;  // the budget of the client; 0: none
};
struct CancelTask {
  RequestId request = 0;
  TaskId id;
};
struct RetryTask {
  RequestId request = 0;
  TaskRecord record;
  std::uint64_t tokens_per_day = 0;  // the budget of the client whose task it is; 0: none
};  // as stored: it has ended
struct DrainAgent {
  RequestId request = 0;
  AgentName agent;
  bool drain = true;
};
struct ReloadAgent {
  RequestId request = 0;
  AgentName agent;
};  // it reads its configuration again

// Forgets an agent that is gone: it is listed no longer, until it announces itself again.
struct RemoveAgent {
  RequestId request = 0;
  AgentName agent;
};

struct ReleaseHeld {
  RequestId request = 0;
};  // tasks that are held after a restore may be placed

struct AgentStatusSeen {
  AgentName agent;
  AgentStatus status;
  bool live = true;  // published now, not the broker's retained copy
};
struct AgentInfoSeen {
  AgentName agent;
  AgentInfo info;
};
struct HeartbeatSeen {
  AgentName agent;
  Heartbeat beat;
};
struct TemperatureSeen {
  AgentName agent;
  Temperature temperature;
};
// Descriptions of inputs by digest. Each is what its digest names, and a JSON Schema that can be used.
struct ParametersSeen {
  AgentName agent;
  std::vector<std::pair<std::string, JsonText>> schemas;
};
struct ResultsSeen {
  AgentName agent;
  std::vector<TaskResult> results;
};
struct CoordinatorSeen {
  bool online = false;
  Reign reign;
  bool live = false;  // as above
};

// The broker can never take the messages with these attempts.
struct Undeliverable {
  std::vector<AttemptKey> attempts;
  std::string reason;
};

struct BrokerUp {};
struct BrokerDown {};
struct Stalled {};  // the coordinator itself was not running: that time counts against no agent
struct Tick {};
struct Place {};  // once, at the end of each drain
struct Committed {
  std::vector<TaskId> ended;
};  // their outcome is durable, so they are removed from the state
struct ReignBegun {};  // the epoch of this reign must be durable before the first message of the reign is sent

using Event =
    std::variant<SubmitTasks, CancelTask, RetryTask, DrainAgent, ReloadAgent, RemoveAgent, ReleaseHeld, AgentStatusSeen,
                 AgentInfoSeen, HeartbeatSeen, TemperatureSeen, ParametersSeen, ResultsSeen, CoordinatorSeen,
                 Undeliverable, BrokerUp, BrokerDown, Stalled, Tick, Place, Committed, ReignBegun>;

}  // namespace edgefleet::coordinator
