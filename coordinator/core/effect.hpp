// The outputs of the core. core/drain.hpp sorts the effects of a drain by time: the Saves are written in one
// transaction, the Deferred follow after it, the Immediate act at the step, and the changes go to the listeners. An
// effect that belongs to none of these groups does not compile.
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
  bool revived = false;  // it had ended, and is retried
};  // the record is taken from the state when the drain ends
struct SaveBatch {
  BatchRecord record;
};
struct SaveAgent {
  AgentName agent;
  bool drained = false;
};
struct SaveReign {
  Reign reign;
};
struct SaveReleased {};  // no task is held any longer
struct SaveTokens {
  std::string client;
  std::int64_t day = 0;
};  // the sum is taken from the state when the drain ends

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
  bool unknown = false;  // not recorded: the agent keeps the result for an operator
};
struct SendCancel {
  AgentName agent;
  std::vector<AttemptKey> tasks;
};
struct SendRecall {
  AgentName agent;
  std::vector<AttemptKey> tasks;
};  // the agent returns those that have not begun
struct SendDrain {
  AgentName agent;
  bool drain = true;
};
struct SendReload {
  AgentName agent;
};  // not repeated if it is lost: its effect would come when nobody expects it
// Results for tasks that are not in the state. The store decides: results of ended tasks are acknowledged, others are
// acknowledged as unknown.
struct AskStore {
  AgentName agent;
  std::vector<AttemptKey> tasks;
};
struct AnnounceReign {};  // publishes coordinator/status again
struct SendIntroduce {
  AgentName agent;
};  // tells the agent our reign, and asks it to present itself
struct SendDescribe {
  AgentName agent;
  std::vector<std::string> digests;
};  // asks for the descriptions of inputs
struct ForgetAgent {
  AgentName agent;
};  // removes its retained messages from the broker

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
  std::string kind;  // notes of one kind are written only a few times, since a peer may cause them without limit
};
struct StopProgram {
  std::string reason;
};

// Carried out after the commit, by the owner of the drain.
using Deferred = std::variant<SendTasks, SendAcknowledge, SendCancel, SendRecall, SendDrain, SendReload, AskStore,
                              AnnounceReign, SendIntroduce, SendDescribe, ForgetAgent, Accepted, Rejected, Done>;
// Act at the step: they must not wait for a commit that may never succeed.
using Immediate = std::variant<Note, StopProgram>;

using Effect =
    std::variant<SaveTask, SaveBatch, SaveAgent, SaveReign, SaveReleased, SaveTokens, SendTasks, SendAcknowledge,
                 SendCancel, SendRecall, SendDrain, SendReload, AskStore, AnnounceReign, SendIntroduce, SendDescribe,
                 ForgetAgent, Accepted, Rejected, Done, BatchEnded, AgentChanged, TemperatureChanged,
                 LoadedModelsChanged, OffersChanged, ParametersLearned, Note, StopProgram>;
using Effects = std::vector<Effect>;

}  // namespace edgefleet::coordinator
