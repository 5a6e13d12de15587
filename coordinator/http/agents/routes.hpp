// The routes of the port for agents: joining, renewal, files. docs/security.md, "Joining".
#pragma once

#include "coordinator/http/parts.hpp"

namespace edgefleet::coordinator {

void add_agents_routes(Routes& routes, const Parts& parts);

}  // namespace edgefleet::coordinator
