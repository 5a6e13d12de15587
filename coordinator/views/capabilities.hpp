// What the fleet offers, as JSON text.
#pragma once

#include <string>

#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

inline constexpr std::size_t most_capabilities = 1000;

// {"capabilities":[...],"more"?}, sorted by name. Those that cannot take tasks now are included.
std::string capabilities_view(const State& state);

}  // namespace edgefleet::coordinator
