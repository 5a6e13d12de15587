// Every payload on MQTT: encoders and decoders together. docs/protocol.md has the shapes with full examples, which a
// test compares with this codec.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/channel.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::protocol {

// The valid elements of a message, and the errors of the others: one invalid element does not invalidate the rest.
template <typename T>
struct Elements {
  std::vector<T> good;
  std::vector<std::string> bad;
};

struct TaskElement {
  TaskId id;
  int attempt = 1;
  JsonText input;
  Duration timeout{};
  ExecutorName executor{};  // which of the agent's executors; empty: any that offers the capability
  std::optional<TextFile> input_at{};  // the input, if it is a file; what it names is not in it
  friend bool operator==(const TaskElement&, const TaskElement&) = default;
};

struct TasksMessage {
  Reign reign;
  std::uint64_t n = 0;
  std::uint64_t max_output_bytes = limits::input_bytes;  // of a task; an output above limits::input_bytes is a file
  Elements<TaskElement> tasks;
};

struct ResultsMessage {
  SessionId session;  // of the agent
  Elements<TaskResult> results;
};

struct StreamMessage {
  SessionId session;
  TaskId id;
  int attempt = 1;
  std::uint64_t at = 0;  // byte offset of `delta` in its channel so far
  std::string delta;
  Channel channel = Channel::note;
  std::optional<int> percent;
  std::optional<std::uint64_t> completed_bytes{};  // of a transfer
  std::optional<std::uint64_t> total_bytes{};      // as far as it is known
};

enum class ControlType { acknowledge, cancel, recall, drain, resume, introduce, describe, upload, reload };
std::string_view to_string(ControlType type);

struct AttemptRef {
  TaskId id;
  int attempt = 1;
  bool unknown = false;  // acknowledge: the coordinator does not know this id
  std::vector<std::string> artifacts{};  // upload: that the result names, and the coordinator does not have
  friend bool operator==(const AttemptRef&, const AttemptRef&) = default;
};

struct AgentInfoMessage {
  AgentInfo info;
  std::vector<std::string> bad;  // executors and GPUs that were omitted, and why
};

struct ControlMessage {
  Reign reign;
  ControlType type = ControlType::acknowledge;
  Elements<AttemptRef> tasks;  // acknowledge, cancel, recall, upload
  std::vector<std::string> digests;  // describe: of the descriptions that are asked for
};

// The description of a capability's input, named by its digest.
struct ParametersElement {
  std::string digest;
  JsonText schema;
  friend bool operator==(const ParametersElement&, const ParametersElement&) = default;
};
struct ParametersMessage {
  SessionId session;  // of the agent
  Elements<ParametersElement> parameters;
};
bool valid_digest(std::string_view text);  // 32 lower-case hexadecimal digits

enum class CoordinatorState { online, offline, lost };
struct CoordinatorStatus {
  CoordinatorState state = CoordinatorState::online;
  Reign reign;
  friend bool operator==(const CoordinatorStatus&, const CoordinatorStatus&) = default;
};

struct CoordinatorBeat {
  std::string store;  // Store::identity()
  Reign reign;
  friend bool operator==(const CoordinatorBeat&, const CoordinatorBeat&) = default;
};

std::string encode(const AgentStatus& status);
std::string encode(const AgentInfo& info);
std::string encode(const Heartbeat& beat);
std::string encode(const Temperature& temperature);
std::string encode(const StreamMessage& message);
std::string encode(const CoordinatorStatus& status);
std::string encode(const CoordinatorBeat& beat);

Result<AgentStatus> decode_agent_status(std::string_view payload);
Result<AgentInfoMessage> decode_agent_info(std::string_view payload);
Result<Heartbeat> decode_heartbeat(std::string_view payload);
Result<Temperature> decode_temperature(std::string_view payload);
Result<TasksMessage> decode_tasks(std::string_view payload);
Result<ResultsMessage> decode_results(std::string_view payload);
Result<StreamMessage> decode_stream(std::string_view payload);
Result<ControlMessage> decode_control(std::string_view payload);
Result<ParametersMessage> decode_parameters(std::string_view payload);
Result<CoordinatorStatus> decode_coordinator_status(std::string_view payload);
Result<CoordinatorBeat> decode_coordinator_beat(std::string_view payload);

// Messages of many elements keep the bounds on elements and bytes: `encode` writes as many of `elements` from `first`
// on as fit into `most_bytes`, but at least one, and advances `first` past them.
std::string encode_tasks(const Reign& reign, std::uint64_t n, std::uint64_t max_output_bytes,
                         const std::vector<TaskElement>& elements, std::size_t& first,
                         std::size_t most_bytes = limits::payload_bytes);
std::string encode_results(const SessionId& session, const std::vector<TaskResult>& elements, std::size_t& first,
                           std::size_t most_bytes = limits::payload_bytes);
std::string encode_control(const Reign& reign, ControlType type, const std::vector<AttemptRef>& elements,
                           std::size_t& first, std::size_t most_bytes = limits::payload_bytes);

std::string encode_parameters(const SessionId& session, const std::vector<ParametersElement>& elements,
                              std::size_t& first, std::size_t most_bytes = limits::payload_bytes);
std::string encode_describe(const Reign& reign, const std::vector<std::string>& digests);

// `{"reloads","changes"?,"restart"?,"problem"?}`, the same in the info and in the HTTP API.
void append_config(std::string& out, const ConfigReport& config);

// `{"code","message","retryable","retry_after_ms"?}`, the same in results and in the HTTP API.
void append_error(std::string& out, const TaskError& error);
Result<TaskError> decode_error(std::string_view json);

// `{"artifact","bytes","artifacts"?}`, the same in messages and in the store.
void append_text_file(std::string& out, const TextFile& file);
Result<TextFile> decode_text_file(std::string_view json);

}  // namespace edgefleet::protocol
