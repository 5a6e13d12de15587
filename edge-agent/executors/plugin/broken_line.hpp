// Reads a plug-in's line that is not JSON as far as possible: the task that it is the result of, and the error.
// Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "edge-agent/executors/plugin/messages.hpp"

namespace edgefleet::agent {

// `longest`: lines are cut to this.
// A `plugin_error` for the task of which `line` is the result, as far as the line can be read; none: it is not a
// result, or does not name its task. Only members of the outermost object count: an output may quote other tasks.
std::optional<PluginResult> result_of_broken(std::string_view line, std::size_t longest = longest_plugin_line);

// For people: "it contains NaN, which is not JSON".
std::string what_is_broken(std::string_view line, std::size_t longest = longest_plugin_line);

}  // namespace edgefleet::agent
