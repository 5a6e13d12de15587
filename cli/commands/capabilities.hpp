// What the fleet offers, for commands that name a capability.
#pragma once

#include <string>

#include "cli/commands/session.hpp"

namespace edgefleet::cli {

// If no connected agent offers it, a note says so, with the nearest name and the list of what there is.
void note_if_nobody_offers(Session& session, const std::string& capability);

}  // namespace edgefleet::cli
