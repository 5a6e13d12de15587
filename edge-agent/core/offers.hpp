// What the executors offer, and what becomes of their tasks when that changes. Part of step().
#pragma once

#include "edge-agent/core/context.hpp"

namespace edgefleet::agent {

void on(Context& c, const OfferChanged& event);
void on(Context& c, const FilesSeen& event);
void on(Context& c, const Reconfigured& event);
// A run of it has ended: a removed one is forgotten after its last run. `executor` is invalid after that.
void forget_if_over(Context& c, const ExecutorSlots& executor);

}  // namespace edgefleet::agent
