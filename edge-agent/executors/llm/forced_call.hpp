// A tool call that a back end without `tool_choice` is forced to make: its answer must match a schema, and the text of
// the answer is the call. Pure.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "edge-agent/executors/llm/slices.hpp"

namespace edgefleet::agent::llm {

// The schema of a call of the function that `tool_choice` names, or of any function of `tools` if a call is required.
// Empty: nothing is forced.
Result<JsonText> schema_of_forced_call(const Members& request);

// The functions that it permits; empty: nothing is forced.
std::set<std::string> names_of_forced_call(const Members& request);

// The call of one of these functions in the text of such an answer, in OpenAI's form; no value: there is none.
std::optional<JsonText> call_in(std::string_view text, const std::set<std::string>& names);

}  // namespace edgefleet::agent::llm
