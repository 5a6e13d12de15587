// Events of an agent.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/task.hpp"
#include "edge-agent/core/heat.hpp"
#include "edge-agent/core/sensor_check.hpp"

namespace edgefleet::agent {

struct LinkUp {};
struct LinkDown {};
struct CoordinatorSeen {
  bool online = false;
  Reign reign;
};

struct GivenTask {
  TaskId id;
  int attempt = 1;
  JsonText input;
  Duration timeout{};
  ExecutorName executor{};  // the requested one; empty: any
  std::optional<TextFile> input_at{};  // the input, if it is a file
};
struct TasksSeen {
  Reign reign;
  std::uint64_t n = 0;
  Capability capability;
  std::vector<GivenTask> tasks;
  std::uint64_t max_output_bytes = limits::input_bytes;
};

struct Acknowledged {
  AttemptKey key;
  bool unknown = false;
};
struct AcknowledgeSeen {
  Reign reign;
  std::vector<Acknowledged> results;
};
struct CancelSeen {
  Reign reign;
  std::vector<AttemptKey> tasks;
};
struct RecallSeen {
  Reign reign;
  std::vector<AttemptKey> tasks;
};  // return tasks that have not started
// The coordinator does not have these files of a result; `uploads` are those that this agent has, and uploads again.
struct UploadSeen {
  Reign reign;
  AttemptKey key;
  std::set<std::string> uploads;
};
struct IntroduceSeen {
  Reign reign;
};  // the coordinator tells its reign, and asks for the status and info of this agent
struct DrainSeen {
  Reign reign;
  bool drain = true;
};

struct ReloadSeen {
  Reign reign;
};
struct ReloadAsked {};  // the same by SIGHUP
// A configuration takes effect that was read while the agent works.
struct Reconfigured {
  int max_tasks = 0;
  Duration stop_grace{};
  HeatLimits heat;
  // The shell has replaced these executors: later offers are those of their successors. The runs that are in progress
  // end where they began; successors have the rest of the slots until then.
  std::vector<ExecutorName> changed;
  std::vector<ExecutorName> removed;  // likewise, without a successor
};

// The broker can never take the messages with these results.
struct ResultsRefused {
  std::vector<AttemptKey> results;
  std::string reason;
};

struct Finished {
  AttemptKey key;
  JsonText output = "null";
  std::optional<TaskError> error;
  JsonText usage;
  Duration run{0};
  std::set<std::string> uploads;  // artifacts of the output that the coordinator does not have yet
  std::optional<TextFile> output_at{};  // the output, if it is a file; `output` is null then
};
// From the spool of an earlier run of the agent.
struct Restored {
  TaskResult result;
  std::set<std::string> uploads;
};
struct SpoolFailed {
  AttemptKey key;
};
struct ArtifactUploaded {
  std::string artifact;
};
struct ArtifactRefused {
  std::string artifact;
  std::string why;
  bool retryable = true;  // false: another attempt would create a file that is refused too
};
struct OfferChanged {
  ExecutorInfo executor;
  bool freezes = false;  // FreezeWork stops its processes and their timeouts
  bool needs_files = false;  // out of service while the coordinator's HTTP API cannot be reached
};
// Whether the coordinator's HTTP API can be reached, where the files of tasks are. `problem`: why not; empty: it can.
struct FilesSeen {
  std::string problem;
};
struct TemperatureRead {
  std::vector<ZoneReading> zones;
  std::vector<std::string> throttled;
  double load = 0;  // 1: all CPUs are busy
};
struct MachineChanged {};  // its address or its GPUs
struct Stop {};  // asked to end: drain
struct Ending {};  // the program ends: undelivered results must survive it
struct Flush {};  // once at the end of each drain of the inbox
struct Tick {};

using Event = std::variant<LinkUp, LinkDown, CoordinatorSeen, TasksSeen, AcknowledgeSeen, CancelSeen, RecallSeen,
                           UploadSeen, IntroduceSeen, DrainSeen, ReloadSeen, ReloadAsked, Reconfigured, ResultsRefused,
                           Finished, Restored, SpoolFailed, ArtifactUploaded, ArtifactRefused, OfferChanged, FilesSeen,
                           TemperatureRead, MachineChanged, Stop, Ending, Flush, Tick>;

}  // namespace edgefleet::agent
