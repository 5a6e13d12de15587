// What the fleet offers: a line for each capability that a connected agent offers.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

struct CapabilityCount {
  std::size_t agents = 0;
  std::size_t slots = 0;  // of executors in service
  std::size_t free = 0;   // of those, at present
};
using Capabilities = std::map<Capability, CapabilityCount>;

// Adds those of up to `most` agents from number `first` on. False: these were the last.
bool add_capabilities(Capabilities& all, const State& state, std::size_t first, std::size_t most);
std::string capabilities_view(const Capabilities& all);

}  // namespace edgefleet::coordinator
