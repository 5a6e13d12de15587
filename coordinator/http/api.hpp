// The HTTP API: routes to the loop, the store and the artifacts. docs/http-api.md.
#pragma once

#include "coordinator/http/server.hpp"
#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {

// All of them outlive the server.
void add_api(HttpServer& server, Loop& loop, Store& store, Artifacts& artifacts, Waiters& waiters, StreamHub& hub);

}  // namespace edgefleet::coordinator
