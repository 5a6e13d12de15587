// Numbers by which the parts of the state name each other; they stay the same as long as the coordinator runs.
#pragma once

#include <cstdint>

namespace edgefleet::coordinator {

using AgentIndex = std::uint32_t;
using ExecutorIndex = std::uint32_t;
using ClassIndex = std::uint32_t;  // of a capability with its conditions

}  // namespace edgefleet::coordinator
