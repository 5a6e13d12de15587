// How long Ollama keeps a model in memory: "10m", "1h30m", or seconds; negative: without end, 0: not at all. Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::agent::llm {

// In JSON, as Ollama reads it: seconds are a number there ("-1" as text is an error to it).
Result<std::string> keep_alive_json(std::string_view text);

}  // namespace edgefleet::agent::llm
