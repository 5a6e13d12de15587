// What the handlers of all routes work with.
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

using Routes = std::vector<http_server::Route>;

}  // namespace edgefleet::coordinator
