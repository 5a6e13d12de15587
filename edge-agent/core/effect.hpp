// Effects that the agent's core returns.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "edge-agent/core/event.hpp"

namespace edgefleet::agent {

struct StartTask {
  AttemptKey key;
  ExecutorName executor;
  Capability capability;
  JsonText input;
  Duration timeout{};
  std::optional<TextFile> input_at{};
  std::uint64_t most_output_bytes = limits::input_bytes;
};
struct StopTask {
  AttemptKey key;
};
struct SendResults {
  std::vector<TaskResult> results;
};
struct SendInfo {};
struct SendBeat {};  // the shell adds what only it can read: load, memory, clock
struct SendTemperature {};
struct SendStatus {
  AgentState state = AgentState::online;
};
// Writes a result to the disk, where it survives this process; and removes it.
struct SpoolResult {
  AttemptKey key;
};
struct UnspoolResult {
  AttemptKey key;
};
struct FreezeWork {
  bool frozen = false;
};  // all process groups of executors that can be frozen
struct KeepForPerson {
  TaskResult result;
};  // the coordinator does not know its task
struct WriteLog {
  bool warning = false;
  std::string text;
};
struct ReadConfiguration {};  // again; the answer is Reconfigured, unless the file is bad
struct EndProgram {};  // all work is complete

using Effect =
    std::variant<StartTask, StopTask, SendResults, SendInfo, SendBeat, SendTemperature, SendStatus, SpoolResult,
                 UnspoolResult, FreezeWork, KeepForPerson, WriteLog, ReadConfiguration, EndProgram>;
using Effects = std::vector<Effect>;

}  // namespace edgefleet::agent
