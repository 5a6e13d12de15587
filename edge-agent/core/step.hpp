// The agent as one function: takes an event and a time, returns effects.
#pragma once

#include "edge-agent/core/effect.hpp"
#include "edge-agent/core/event.hpp"
#include "edge-agent/core/state.hpp"

namespace edgefleet::agent {

Effects step(State& state, const Event& event, Time now);
Time next_deadline(const State& state);

}  // namespace edgefleet::agent
