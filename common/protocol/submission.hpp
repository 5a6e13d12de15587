// A submitted task: the same JSON object over HTTP, over MQTT and in a line of a batch file.
#pragma once

#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::json {
class Fields;
}

namespace edgefleet::protocol {

struct Submission {
  TaskSpec spec;
  std::string idempotency_key;  // empty: none
  bool answer_accepted = false;  // MQTT: answer the acceptance instead of the outcome
};

// `json`: any text.
// {"capability","input"?,"name"?,"priority"?,"timeout_ms"?,"expires_after_ms"?,"delay_ms"?,"max_attempts"?,
//  "where"?: {"label":"value"},"idempotency_key"?}
// An input of more than `most_input_bytes` is an error of kind `too_large`.
Result<Submission> decode_submission(std::string_view json, std::size_t most_input_bytes = limits::input_bytes);

// The same for a part of a text that was checked before.
Result<Submission> decode_submission_part(std::string_view json, std::size_t most_input_bytes = limits::input_bytes);

// Of a task or a batch; empty: none was given.
std::string read_idempotency_key(json::Fields& fields);

// The input of a task, or an output, is larger than it may be.
Error too_large(std::string_view what, std::uint64_t bytes, std::uint64_t most);

}  // namespace edgefleet::protocol
