// Numbers by which the parts of the state refer to each other; they do not change while the coordinator runs.
#pragma once

#include <cstdint>

namespace edgefleet::coordinator {

using AgentIndex = std::uint32_t;
using ExecutorIndex = std::uint32_t;
using ClassIndex = std::uint32_t;  // of a capability with its conditions
using ClientIndex = std::uint32_t;

}  // namespace edgefleet::coordinator
