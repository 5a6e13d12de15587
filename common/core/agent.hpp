// Values that an agent reports about itself.
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

// `offline` is published by the agent itself, `lost` by its will (or by the coordinator, after silence).
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
  std::string problem;  // why it is out of service; empty while it is in service
  bool rests = false;   // with a problem: temporary, ends by itself within about a minute
  std::string notice;   // other information for people, in service or not
  std::map<Capability, std::string> parameters;  // digest of the JSON Schema of the capability's input
  friend bool operator==(const ExecutorInfo&, const ExecutorInfo&) = default;
};

struct GpuInfo {
  std::string name;
  std::uint64_t memory_bytes = 0;  // its own; 0: unknown, or shared with the processor
  friend bool operator==(const GpuInfo&, const GpuInfo&) = default;
};

// What became of the last time that the agent read its configuration again. All texts are for people.
struct ConfigReport {
  std::uint64_t reloads = 0;  // since its start, with those that failed
  std::string changes;  // "added command-a; removed command-b"; empty: nothing changed
  std::string restart;  // settings whose new values need a restart: "broker, work"
  std::string problem;  // why the old configuration stays
  friend bool operator==(const ConfigReport&, const ConfigReport&) = default;
};

// Published by the agent when it connects, and when it changes.
struct AgentInfo {
  SessionId session;
  std::string version;
  std::string board;  // the model name of the board, "Raspberry Pi 4 Model B Rev 1.4"
  std::string arch;   // as `uname -m` prints it
  std::string os;
  std::string machine;  // the same in each run, different on each machine; tells apart agents of one name
  int cpus = 1;
  std::uint64_t memory_bytes = 0;
  int max_tasks = 0;  // bound over all executors on tasks held
  std::uint64_t max_task_bytes = 0;  // of an input in a file that it can fetch; 0: none
  std::string address;  // of the machine, on the network of the broker
  std::vector<GpuInfo> gpus;
  std::optional<ConfigReport> config;  // none: it cannot read its configuration again
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
  Duration run{0};  // running: time since its start
  Duration extended{0};  // running: extension of its timeout, because heat slowed it down
  friend bool operator==(const HeldTask&, const HeldTask&) = default;
};

// The coordinator that an agent obeys: the number of its reign and its session. Together they are the fence.
struct Reign {
  std::uint64_t epoch = 0;
  SessionId session;
  friend bool operator==(const Reign&, const Reign&) = default;
};

struct Heartbeat {
  SessionId session;
  std::uint64_t sequence = 0;
  Reign coordinator;    // the last one that the agent received
  std::uint64_t n = 0;  // highest number of a task message of this reign that it has received
  Duration uptime{0};
  double load = 0;  // 1 minute
  std::uint64_t free_memory_bytes = 0;
  std::uint64_t free_disk_bytes = 0;   // of its work folder; 0: unknown
  std::optional<Duration> status_for;  // since its status changed
  std::uint64_t succeeded = 0;         // attempts since its start
  std::uint64_t failed = 0;
  std::vector<std::optional<double>> gpu_celsius;  // in the order of its info
  std::map<ExecutorName, int> free_slots;  // current values: heat, limits and draining included
  std::vector<HeldTask> held;              // not yet acknowledged
  WallTime clock;                          // the agent's own
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

enum class HeatPolicy { normal, reduced, paused };
std::string_view to_string(HeatPolicy policy);
std::optional<HeatPolicy> parse_heat_policy(std::string_view text);

struct Temperature {
  SessionId session;
  std::optional<double> celsius;  // none if the board has no sensor
  double trend_per_minute = 0;
  std::vector<std::string> throttled;  // the firmware's flags spelled out
  HeatPolicy policy = HeatPolicy::normal;
  std::string sensor;   // where `celsius` comes from
  std::string problem;  // with the sensors; empty if there is none
  friend bool operator==(const Temperature&, const Temperature&) = default;
};

// The interval that both sides rely on.
inline constexpr Duration heartbeat_interval = std::chrono::seconds(10);
inline constexpr int heartbeats_missed_until_lost = 3;

}  // namespace edgefleet
