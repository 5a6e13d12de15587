// Tasks and batches as they are stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/core/task.hpp"
#include "coordinator/core/attempt.hpp"

namespace edgefleet::coordinator {

// A task as it is stored: everything except the state that only the running coordinator has.
struct TaskRecord {
  TaskId id;
  TaskSpec spec;
  std::string submitter;
  std::string idempotency_key;
  std::optional<BatchId> batch;
  TaskState state = TaskState::queued;
  std::int64_t order = 0;  // rank within its class: smaller first; fixed when it is submitted
  int allowed_attempts = 3;  // increases with a retry by an operator
  std::optional<Duration> due_in;  // scheduled: remaining
  std::optional<Duration> expires_in;  // remaining
  WallTime accepted_at;
  std::optional<WallTime> ended_at;
  std::vector<Attempt> attempts;
  JsonText output;  // empty: none
  std::optional<TextFile> output_at{};  // the output, if it is a file; `output` is empty then
  std::optional<TaskError> error;
  JsonText usage;
  Duration run{0};
  std::uint64_t tokens = 0;  // that it is expected to take; not stored: whoever makes the record estimates it
};

// The tokens that a client has used on one day, in days since 1970 (UTC).
struct TokensUsed {
  std::string client;
  std::int64_t day = 0;
  std::uint64_t tokens = 0;
  friend auto operator<=>(const TokensUsed&, const TokensUsed&) = default;
};

struct BatchRecord {
  BatchId id;
  std::string submitter;
  std::string idempotency_key;
  std::string fingerprint;  // of what was submitted, to tell a repetition from another batch
  // The tasks of a batch are created together, so their ids are a range.
  TaskId first;
  TaskId last;
  std::size_t total = 0;
};

}  // namespace edgefleet::coordinator
