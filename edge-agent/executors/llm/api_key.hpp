// The key for a back end, if it needs one. Read at each use: a changed key needs no restart.
#pragma once

#include "common/core/result.hpp"
#include "edge-agent/executors/llm/config.hpp"

namespace edgefleet::agent::llm {

Result<std::string> read_key(const Config& config);  // empty: none is configured
// Removes a key that a back end repeats in its refusal, so that it is not in a log or on MQTT.
std::string without_key(std::string text, const std::string& key);

}  // namespace edgefleet::agent::llm
