// The HTTP API: routes to the loop, the store and the artifacts. docs/http-api.md.
#pragma once

#include "coordinator/http/parts.hpp"

namespace edgefleet::coordinator {

// One function for each subject adds its rows to the table.
void add_task_routes(Routes& routes, const Parts& parts);
void add_batch_routes(Routes& routes, const Parts& parts);
void add_fleet_routes(Routes& routes, const Parts& parts);
void add_event_routes(Routes& routes, const Parts& parts);
void add_artifact_routes(Routes& routes, const Parts& parts);
void add_access_routes(Routes& routes, const Parts& parts);
void add_health_route(Routes& routes);
void add_joining_routes(Routes& routes, const Parts& parts);
// For the port of agents: an agent reads the files of the tasks that it holds. `role`: of these routes.
void add_agents_artifact_routes(Routes& routes, const Parts& parts, const std::string& role);
http_server::Reply ca_reply(const ClosedFleet& closed);

inline void add_api(Routes& routes, const Parts& parts) {
  add_task_routes(routes, parts);
  add_batch_routes(routes, parts);
  add_fleet_routes(routes, parts);
  add_event_routes(routes, parts);
  add_artifact_routes(routes, parts);
  add_access_routes(routes, parts);
  add_joining_routes(routes, parts);
}

}  // namespace edgefleet::coordinator
