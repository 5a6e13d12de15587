// The dependencies of the handlers of all routes.
#pragma once

#include <atomic>
#include <vector>

#include "common/http_server/route.hpp"
#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {

// Bounds the requests that wait at a time; the other connections stay free for other requests.
struct WaitBound {
  std::atomic<std::size_t> taken{0};
  std::size_t most = 0;
};

// The objects that the handlers use; all of them outlive the server.
struct Parts {
  Loop& loop;
  Store& store;
  Artifacts& artifacts;
  Waiters& waiters;
  StreamHub& hub;
  WaitBound& waiting;
  std::uint64_t max_task_bytes = limits::usual_task_bytes;  // of an input
};

using Routes = std::vector<http_server::Route>;

}  // namespace edgefleet::coordinator
