// A task to submit, and its input.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::cli {

struct TaskRequest {
  Capability capability;
  JsonText input = "null";
  std::string name;
  std::string idempotency_key;
  std::optional<int> priority;
  std::optional<int> max_attempts;
  std::optional<Duration> timeout;
  std::optional<Duration> expires_after;
  std::optional<Duration> delay;
  Where where;
};

// The body of POST /api/v1/tasks; it contains the input byte for byte.
std::string to_body(const TaskRequest& request);

// Checks that the text is JSON within the limits; `source` is the name of its origin in messages.
Result<JsonText> check_input(std::string_view text, const std::string& source);

// The text as a JSON string.
Result<JsonText> text_input(std::string_view text, const std::string& source);

}  // namespace edgefleet::cli
