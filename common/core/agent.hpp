// Values that an agent says of itself.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/task.hpp"
#include "common/core/time.hpp"

namespace edgefleet {

// `offline` is said by the agent itself, `lost` by its will (or by the coordinator, after silence).
enum class AgentState { online, draining, overheated, offline, lost };
std::string_view to_string(AgentState state);
std::optional<AgentState> parse_agent_state(std::string_view text);

struct AgentStatus {
  AgentState state = AgentState::offline;
  SessionId session;
  friend bool operator==(const AgentStatus&, const AgentStatus&) = default;
};

// The part of an agent that offers capabilities and has slots.
struct ExecutorInfo {
  ExecutorName name;
  std::vector<Capability> capabilities;
  int slots = 1;
  std::string provider;  // of models: ollama, groq, ...
  std::vector<std::string> models;
  std::vector<std::string> loaded_models;
  std::string problem;  // why it is out of service; empty when it is well
  bool rests = false;   // with a problem: it passes by itself, and within a minute or so
  std::string notice;   // what else people should know of it, in service or not
  friend bool operator==(const ExecutorInfo&, const ExecutorInfo&) = default;
};

// The birth certificate.
struct AgentInfo {
  SessionId session;
  std::string version;
  std::string board;  // what the board calls itself, "Raspberry Pi 4 Model B Rev 1.4"
  std::string arch;   // as `uname -m` says it
  std::string os;
  int cpus = 1;
  std::uint64_t memory_bytes = 0;
  int max_tasks = 0;  // bound over all executors on tasks held
  std::map<std::string, std::string> labels;
  std::vector<ExecutorInfo> executors;
  friend bool operator==(const AgentInfo&, const AgentInfo&) = default;
};

enum class HeldPhase { waiting, running, done };
struct HeldTask {
  TaskId id;
  int attempt = 1;
  HeldPhase phase = HeldPhase::waiting;
  ExecutorName executor;
  Duration run{0};  // running: for so long
  Duration extended{0};  // running: so much longer may it take than asked for, because the agent's heat slowed it
  friend bool operator==(const HeldTask&, const HeldTask&) = default;
};

// Which coordinator an agent listens to: the number of its reign and its session. Together they are the fence.
struct Reign {
  std::uint64_t epoch = 0;
  SessionId session;
  friend bool operator==(const Reign&, const Reign&) = default;
};

struct Heartbeat {
  SessionId session;
  std::uint64_t sequence = 0;
  Reign coordinator;    // as the agent last saw it
  std::uint64_t n = 0;  // highest number of a task message of this reign that it has seen
  Duration uptime{0};
  double load = 0;  // 1 minute
  std::uint64_t free_memory_bytes = 0;
  std::map<ExecutorName, int> free_slots;  // as they are now: heat, limits and draining included
  std::vector<HeldTask> held;              // not yet acknowledged
  WallTime clock;                          // the agent's own
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

enum class HeatPolicy { normal, reduced, paused };
std::string_view to_string(HeatPolicy policy);
std::optional<HeatPolicy> parse_heat_policy(std::string_view text);

struct Temperature {
  SessionId session;
  std::optional<double> celsius;  // none where the board has no sensor
  double trend_per_minute = 0;
  std::vector<std::string> throttled;  // the firmware's flags spelled out
  HeatPolicy policy = HeatPolicy::normal;
  std::string sensor;   // where `celsius` comes from
  std::string problem;  // with the sensors; empty when there is none
  friend bool operator==(const Temperature&, const Temperature&) = default;
};

// The rhythm that both sides count on.
inline constexpr Duration heartbeat_interval = std::chrono::seconds(10);
inline constexpr int heartbeats_missed_until_lost = 3;

}  // namespace edgefleet
