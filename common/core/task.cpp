#include "common/core/task.hpp"

#include <array>

namespace edgefleet {
namespace {

constexpr std::array<std::string_view, task_state_count> task_states{
    "scheduled", "queued", "assigned", "running", "cancelling", "succeeded", "failed", "cancelled", "expired"};
constexpr std::array<std::string_view, 7> attempt_states{"assigned",  "running",  "succeeded", "failed",
                                                         "cancelled", "returned", "lost"};
constexpr std::array<std::string_view, 4> result_statuses{"succeeded", "failed", "cancelled", "returned"};

template <typename Enum, std::size_t N>
std::optional<Enum> find(const std::array<std::string_view, N>& names, std::string_view text) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(TaskState state) { return task_states.at(static_cast<std::size_t>(state)); }
std::optional<TaskState> parse_task_state(std::string_view text) { return find<TaskState>(task_states, text); }
std::string_view to_string(AttemptState state) { return attempt_states.at(static_cast<std::size_t>(state)); }
std::optional<AttemptState> parse_attempt_state(std::string_view text) {
  return find<AttemptState>(attempt_states, text);
}
std::string_view to_string(ResultStatus status) { return result_statuses.at(static_cast<std::size_t>(status)); }
std::optional<ResultStatus> parse_result_status(std::string_view text) {
  return find<ResultStatus>(result_statuses, text);
}

}  // namespace edgefleet
