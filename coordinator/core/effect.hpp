// What the core wants done. core/drain.hpp sorts the effects of a drain by when they act: the Saves in one transaction,
// the Deferred after it, the Immediate at the step, and the changes go to the listeners. An effect that belongs to none
// of them does not compile.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/core/result.hpp"
#include "coordinator/core/changes.hpp"
#include "coordinator/core/event.hpp"
#include "coordinator/core/writes.hpp"

namespace edgefleet::coordinator {

struct SaveTask {
  TaskId id;
  bool created = false;
  bool revived = false;  // it had ended before
};  // the record is taken from the state when the drain ends
struct SaveBatch {
  BatchRecord record;
};
struct SaveAgent {
  AgentName agent;
  bool drained = false;
};
struct SaveEpoch {
  std::uint64_t epoch = 0;
};
struct SaveReleased {};  // nothing is held any more

// One message; its elements' inputs are read from the state.
struct SendTasks {
  AgentName agent;
  Capability capability;
  std::uint64_t n = 0;
  std::vector<AttemptKey> tasks;
};
struct SendAcknowledge {
  AgentName agent;
  std::vector<AttemptKey> tasks;
  bool unknown = false;  // not recorded: the agent is to keep it for a person
};
struct SendCancel {
  AgentName agent;
  std::vector<AttemptKey> tasks;
};
struct SendRecall {
  AgentName agent;
  std::vector<AttemptKey> tasks;
};  // give back what has not begun
struct SendDrain {
  AgentName agent;
  bool drain = true;
};
// Results for ids that are not alive here: ended ones are acknowledged, others as unknown. The store knows which.
struct AskStore {
  AgentName agent;
  std::vector<AttemptKey> tasks;
};
struct AnnounceReign {};  // publish coordinator/status again

struct Accepted {
  RequestId request = 0;
  std::vector<TaskId> ids;
  std::optional<BatchId> batch;
};
struct Rejected {
  RequestId request = 0;
  Error error;
};
struct Done {
  RequestId request = 0;
};

enum class NoteLevel { info, warning };
struct Note {
  NoteLevel level = NoteLevel::info;
  std::string text;
  std::string kind;  // what a peer could repeat without end is written a few times only
};
struct StopProgram {
  std::string reason;
};

// Performed after the commit, by whatever owns the drain.
using Deferred = std::variant<SendTasks, SendAcknowledge, SendCancel, SendRecall, SendDrain, AskStore, AnnounceReign,
                              Accepted, Rejected, Done>;
// Act at the step: they must not wait for a commit that may never come.
using Immediate = std::variant<Note, StopProgram>;

using Effect = std::variant<SaveTask, SaveBatch, SaveAgent, SaveEpoch, SaveReleased, SendTasks, SendAcknowledge,
                            SendCancel, SendRecall, SendDrain, AskStore, AnnounceReign, Accepted, Rejected, Done,
                            BatchEnded, AgentChanged, TemperatureChanged, LoadedModelsChanged, Note, StopProgram>;
using Effects = std::vector<Effect>;

}  // namespace edgefleet::coordinator
