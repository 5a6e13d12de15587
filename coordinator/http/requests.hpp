// HTTP requests as values: the body of a batch, and query strings. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/result.hpp"
#include "coordinator/core/event.hpp"
#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

inline constexpr double longest_wait = 60;  // seconds of a long poll

struct BatchRequest {
  std::vector<SubmitTasks::One> tasks;
  std::string idempotency_key;  // of the whole batch; empty: none
  // Index and reason of each invalid task, 100 at most. If there is one, nothing of the batch is accepted.
  std::vector<std::pair<std::size_t, Error>> wrong;
};

// `body`: any text. `check`: further conditions for a task.
Result<BatchRequest> read_batch(std::string_view body, std::size_t most_input_bytes,
                                const std::function<Status(const TaskSpec&)>& check);

// The decoded value of a parameter of the query string; no value: it is missing.
using Query = std::function<std::optional<std::string>(const std::string&)>;

Result<TaskQuery> read_task_query(const Query& query);
// `wait`, in seconds: 0 to longest_wait.
// `?inline=false`: an output that is a file is a link only.
Result<bool> read_inline(const Query& parameter);
Result<double> read_wait(const Query& query);

}  // namespace edgefleet::coordinator
