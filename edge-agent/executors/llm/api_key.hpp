// The key for a back end, if it wants one. Read at each use: a key that is changed needs no restart.
#pragma once

#include "common/core/result.hpp"
#include "edge-agent/executors/llm/config.hpp"

namespace edgefleet::agent::llm {

Result<std::string> read_key(const Config& config);  // empty: there is to be none

}  // namespace edgefleet::agent::llm
