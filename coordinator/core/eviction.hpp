// Which agent is forgotten when a new one needs its place.
#pragma once

#include <optional>

#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

// Of the agents that are gone and hold nothing, the one that was away for longest when they were last looked at; none:
// all are needed.
std::optional<AgentIndex> take_dispensable(State& state, Time now);

}  // namespace edgefleet::coordinator
