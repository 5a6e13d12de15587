// Tries all that a closed fleet's broker must refuse, for `edgefleet doctor --broker`.
#pragma once

#include <string>

#include "coordinator/access/broker_acts.hpp"
#include "coordinator/access/closed_fleet.hpp"

namespace edgefleet::coordinator {

// With two agents and a person of each role that exist for this time only, at the broker and nowhere else. They write
// nothing that is retained, and nothing that could be understood. Audited as done by `who`. Some seconds, at most half
// a minute; any thread but the loop's. Errors: busy (another one is at work for longer than ten seconds), unavailable
// (the broker has not taken its files).
Result<BrokerTrial> try_broker(ClosedFleet& closed, const std::string& who);

}  // namespace edgefleet::coordinator
