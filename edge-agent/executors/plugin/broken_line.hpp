// What can still be told of a plug-in's line that is not JSON: whose result it was to be, and what is wrong with it.
// Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "edge-agent/executors/plugin/messages.hpp"

namespace edgefleet::agent {

// A `plugin_error` for the task of which `line` is the result, so far as the line can be read; none: it is no result,
// or does not say of which task. Only what stands in the outermost object counts: an output may quote other tasks.
std::optional<PluginResult> result_of_broken(std::string_view line);

// For people: "it holds NaN, which JSON does not have".
std::string what_is_broken(std::string_view line);

}  // namespace edgefleet::agent
