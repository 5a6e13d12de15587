// What a request for chat must look like before it is mapped to another format: a demand that the mapping cannot read
// is an error that names it, because it would be lost in silence. Pure.
#pragma once

#include "common/core/result.hpp"
#include "edge-agent/executors/llm/slices.hpp"

namespace edgefleet::agent::llm {

// `provider`: for the messages. An error means an invalid task.
Status check_mapped(const Members& request, std::string_view provider);

}  // namespace edgefleet::agent::llm
