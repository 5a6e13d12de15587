// The key for a back end, if it wants one. Read at each use: a key that is changed needs no restart.
#pragma once

#include "common/core/result.hpp"
#include "edge-agent/executors/llm/config.hpp"

namespace edgefleet::agent::llm {

Result<std::string> read_key(const Config& config);  // empty: there is to be none
// A back end that repeats the key in its refusal does not get it into a log or onto MQTT.
std::string without_key(std::string text, const std::string& key);

}  // namespace edgefleet::agent::llm
