// The HTTP API: routes to the loop, the store and the artifacts. docs/http-api.md.
#pragma once

#include <atomic>
#include <vector>

#include "common/http_server/route.hpp"
#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {

// How many requests may wait at a time; the other connections are for everybody else.
struct WaitBound {
  std::atomic<std::size_t> taken{0};
  std::size_t most = 0;
};

// What the handlers work with; all of it outlives the server.
struct Parts {
  Loop& loop;
  Store& store;
  Artifacts& artifacts;
  Waiters& waiters;
  StreamHub& hub;
  WaitBound& waiting;
};

// One function for each subject adds its rows to the table.
using Routes = std::vector<http_server::Route>;
void add_task_routes(Routes& routes, const Parts& parts);
void add_batch_routes(Routes& routes, const Parts& parts);
void add_fleet_routes(Routes& routes, const Parts& parts);
void add_artifact_routes(Routes& routes, const Parts& parts);

inline void add_api(Routes& routes, const Parts& parts) {
  add_task_routes(routes, parts);
  add_batch_routes(routes, parts);
  add_fleet_routes(routes, parts);
  add_artifact_routes(routes, parts);
}

}  // namespace edgefleet::coordinator
