// The interface of an executor: it offers capabilities with slots, and runs one task at a time in each slot.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "common/core/agent.hpp"
#include "common/core/channel.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::agent {

struct Job {
  TaskId id;
  int attempt = 1;
  Capability capability;
  JsonText input;
  Duration timeout{};  // the executor enforces it: error code `timed_out`, retryable
  std::size_t most_output_bytes = limits::input_bytes;
};

// The outcome of a run. `error` none: succeeded. A run that its token stopped ends with error code `cancelled`.
struct RunOutcome {
  JsonText output = "null";
  std::optional<TaskError> error;
  JsonText usage;
};

// Reports of a run in progress. Partial output is for live readers: the result repeats all of it.
struct Progress {
  int percent = -1;  // -1: unknown
  std::string text;
  Channel channel = Channel::note;
  std::uint64_t at = 0;  // byte offset of a piece of output in its channel
  std::uint64_t completed_bytes = 0;  // of the transfer that the note describes
  std::uint64_t total_bytes = 0;      // 0: no transfer, or unknown
};

inline constexpr std::size_t most_problem_bytes = 500;  // a message of the agent has up to 128 of them

class Executor {
 public:
  // Called from any thread whenever what the executor offers changes, and once soon after start(). A `problem` (at most
  // most_problem_bytes) means out of service; the capabilities are then those that it has otherwise, as far as known.
  // With `rests`, another call follows within about a minute.
  // A `notice` (the same bound) is only for people.
  using OnOffer = std::function<void(ExecutorInfo)>;
  using OnProgress = std::function<void(const Progress&)>;

  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  Executor(Executor&&) = delete;
  Executor& operator=(Executor&&) = delete;
  virtual ~Executor() = default;  // stops whatever still runs; may take seconds
  // It will be destroyed: what takes long about that begins. No run is in progress, and none follows. Returns at once;
  // any thread.
  virtual void ask_to_end() {}

  [[nodiscard]] virtual const ExecutorName& name() const = 0;
  virtual void start(OnOffer on_offer) = 0;
  // True: run() returns at once, so the agent calls it on its loop's thread and saves a thread switch.
  [[nodiscard]] virtual bool instant() const { return false; }
  // True: its runs are processes of the spawner, so a freeze stops them and their timeouts.
  [[nodiscard]] virtual bool freezes() const { return false; }
  // True: its tasks name files, so it is out of service while the coordinator's HTTP API cannot be reached.
  [[nodiscard]] virtual bool needs_files() const { return false; }
  // The JSON Schema of the input of each capability that has one; at most protocol::most_schema_bytes each. Any thread,
  // after on_offer was called.
  [[nodiscard]] virtual std::map<Capability, JsonText> parameters() const { return {}; }
  // The configuration of the agent was read again, and that of this executor is the same: external data (keys, models)
  // may have changed. Returns at once; any thread.
  virtual void reload() {}
  // Blocks until the end; called from one worker thread per slot, so up to `slots` at the same time. Must return soon
  // (within 5 s) after a stop request. Never throws.
  virtual RunOutcome run(const Job& job, std::stop_token stop, const OnProgress& on_progress) = 0;
};

// The store of artifacts: the coordinator's HTTP API in the agent, a folder in tests.
class ArtifactStore {
 public:
  ArtifactStore() = default;
  ArtifactStore(const ArtifactStore&) = delete;
  ArtifactStore& operator=(const ArtifactStore&) = delete;
  ArtifactStore(ArtifactStore&&) = delete;
  ArtifactStore& operator=(ArtifactStore&&) = delete;
  virtual ~ArtifactStore() = default;

  // Blocking; a failed transfer is retried internally until `stop`.
  // Error kind too_large: it is larger than `most_bytes`; no more than that is written.
  virtual Status fetch(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
                       std::stop_token stop) = 0;
  virtual Result<std::string> store(const std::string& path, std::stop_token stop) = 0;  // -> "sha256-..."
};

}  // namespace edgefleet::agent
