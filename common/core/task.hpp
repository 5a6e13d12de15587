// Values of a task that travel between the programs or are kept by the store.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/time.hpp"

namespace edgefleet {

// JSON text that was checked when it was received. The cores carry it and never parse it.
using JsonText = std::string;

enum class TaskState { scheduled, queued, assigned, running, cancelling, succeeded, failed, cancelled, expired };
inline constexpr std::size_t task_state_count = 9;
std::string_view to_string(TaskState state);
std::optional<TaskState> parse_task_state(std::string_view text);
// Its outcome has been recorded.
inline bool ended(TaskState s) { return s >= TaskState::succeeded; }

// `returned`: the agent returned it, and the attempt does not count; `lost`: the agent disappeared with it.
enum class AttemptState { assigned, running, succeeded, failed, cancelled, returned, lost };
std::string_view to_string(AttemptState state);
std::optional<AttemptState> parse_attempt_state(std::string_view text);
inline bool ended(AttemptState s) { return s >= AttemptState::succeeded; }

struct TaskError {
  std::string code;  // a word of [a-z_], for programs: bad_input, timed_out, agent_lost, ...
  std::string message;
  bool retryable = false;
  std::optional<Duration> retry_after;
  friend bool operator==(const TaskError&, const TaskError&) = default;
};

// Conditions on the agent, sorted, so that equal ones compare equal: where.hpp.
using Where = std::map<std::string, std::string>;

// Bounds and defaults of a submitted task. Durations in the API are whole milliseconds.
namespace limits {
inline constexpr std::size_t payload_bytes = 256 * 1024;  // of one MQTT message; a task's input and output fit it too
inline constexpr std::size_t info_bytes = 64 * 1024;  // of an agent's info
inline constexpr std::size_t message_elements = 128;
// Of an input or output in a message, which leaves room for the envelope; a larger one is a file (TextFile).
inline constexpr std::size_t input_bytes = payload_bytes - 4 * 1024;
inline constexpr std::size_t usual_task_bytes = 8 * 1024 * 1024;  // of an input or output: the default
inline constexpr std::size_t most_task_bytes = 64 * 1024 * 1024;  // as an owner may set it
inline constexpr std::size_t text_artifacts = 1024;  // that an input or output in a file may name
inline constexpr std::size_t batch_tasks = 10'000;
inline constexpr std::size_t name_bytes = 200;
inline constexpr std::size_t where_conditions = 16;
inline constexpr std::size_t labels = 64;  // of an agent, those of its machine included
inline constexpr std::size_t label_bytes = 128;
inline constexpr std::size_t gpus = 16;  // of an agent
inline constexpr std::size_t error_bytes = 4 * 1024;  // an error's message is cut to this
inline constexpr double celsius = 1000;  // -1000 to 1000: what is further off is no temperature
inline constexpr int priority = 1000;  // -1000 to 1000
// Of a message with tasks: what is around its elements, and what an element has beside its input, at most.
inline constexpr std::size_t envelope_bytes = 512;
inline constexpr std::size_t element_bytes = 128;
inline constexpr int max_attempts = 100;
// A coordinator uses one epoch at each start: an epoch that is this much higher is a mistake or a lie.
inline constexpr std::uint64_t epochs_ahead = 1'000'000;
inline constexpr Duration longest = std::chrono::hours(24 * 30);  // any duration of a task
}  // namespace limits

inline constexpr Duration priority_step = std::chrono::seconds(60);  // waiting time that equals one step

// The JSON text of an input or output that is too large for a message: a file at the coordinator.
struct TextFile {
  std::string artifact;  // its id
  std::uint64_t bytes = 0;
  std::vector<std::string> artifacts;  // that the text names, sorted: they are kept as long as the text is
  friend bool operator==(const TextFile&, const TextFile&) = default;
};

struct TaskSpec {
  Capability capability;
  JsonText input = "null";
  std::optional<TextFile> input_at{};  // the input, if it is a file; `input` is null then
  std::string name;
  int priority = 0;  // in steps of priority_step
  Duration timeout = std::chrono::minutes(10);  // of one attempt
  std::optional<Duration> expires_after;  // limits only the start
  Duration delay{0};
  int max_attempts = 3;
  Where where;
  friend bool operator==(const TaskSpec&, const TaskSpec&) = default;
};

// Identifies one attempt of one task.
struct AttemptKey {
  TaskId id;
  int attempt = 1;
  friend auto operator<=>(const AttemptKey&, const AttemptKey&) = default;
};

enum class ResultStatus { succeeded, failed, cancelled, returned };
std::string_view to_string(ResultStatus status);
std::optional<ResultStatus> parse_result_status(std::string_view text);

// What an agent reports of one attempt.
struct TaskResult {
  TaskId id;
  int attempt = 1;
  ResultStatus status = ResultStatus::succeeded;
  JsonText output = "null";  // when succeeded; a failed command may have one too
  std::optional<TaskError> error;  // when failed or returned
  Duration run{0};  // running time
  JsonText usage;  // JSON object, or empty
  Capability capability;  // of its task; empty: the agent does not know it
  std::optional<TextFile> output_at{};  // the output, if it is a file; `output` is null then
  std::uint64_t tokens = 0;  // as read from the usage, prompt and completion; 0: not reported
  friend bool operator==(const TaskResult&, const TaskResult&) = default;
};

}  // namespace edgefleet
