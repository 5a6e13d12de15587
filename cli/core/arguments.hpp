// Arguments that the option parser does not handle by itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::cli {

// The time after `--wait` is optional, so `--wait '"hello"'` must not take the input as its value: a duration that
// follows is joined to it (`--wait=30s`), otherwise it becomes `--wait=forever`. Arguments after `--` are unchanged.
std::vector<std::string> join_wait(std::vector<std::string> arguments);
inline constexpr std::string_view wait_forever = "forever";

// Conditions: `room=attic`, `memory_mb>=4000`.
Result<Where> parse_where(const std::vector<std::string>& conditions);

Result<Capability> parse_capability(std::string_view text);
Result<TaskId> parse_task_id(std::string_view text);
Result<AgentName> parse_agent_name(std::string_view text);

}  // namespace edgefleet::cli
