// A file of tasks, one JSON value per line (https://jsonlines.org). The whole file is checked before any task is
// submitted.
#pragma once

#include <cstddef>
#include <istream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::cli {

struct BatchTask {
  std::size_t line = 0;  // from 1
  JsonText json;         // a task object as for POST /api/v1/tasks
};

struct LineFault {
  std::size_t line = 0;
  std::string message;
};

// "lines 1-3, 7: `priorty` is not a field" for each message, in the order of the lines.
std::vector<std::string> grouped_faults(const std::vector<LineFault>& faults);

struct BatchFile {
  std::vector<BatchTask> tasks;
  std::vector<LineFault> faults;
};

// Empty lines are ignored. `fallback`: the capability of lines that name none.
BatchFile read_batch(std::istream& in, const std::optional<Capability>& fallback);

// One line. With a fallback, an object that has the key `capability` or `input` is a task, and any other value is an
// input.
Result<JsonText> task_of_line(std::string_view line, const std::optional<Capability>& fallback);

// The maximum size of one request.
inline constexpr std::size_t most_batch_bytes = std::size_t{8} << 20U;

// In order; a chunk has at most `most_tasks` tasks and a body of at most `most_bytes` (or a single task).
std::vector<std::span<const BatchTask>> split(std::span<const BatchTask> tasks,
                                              std::size_t most_tasks = limits::batch_tasks,
                                              std::size_t most_bytes = most_batch_bytes);

// The body of POST /api/v1/batches.
std::string to_body(std::span<const BatchTask> tasks);

}  // namespace edgefleet::cli
