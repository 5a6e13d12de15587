// The dependencies of the handlers of all routes.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "common/http_server/route.hpp"
#include "coordinator/access/closed_fleet.hpp"
#include "coordinator/events/journal.hpp"
#include "coordinator/http/bounded_place.hpp"
#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {

// Outputs above the usual size are read into memory one at a time: an answer has several copies of it on the way.
class LargeOutputs {
 public:
  // Wait for the turn before load_output(), and keep it until the answer is made.
  [[nodiscard]] std::unique_lock<std::mutex> turn(const TaskRecord& record) {
    std::unique_lock lock(mutex_, std::defer_lock);
    if (record.output_at && record.output_at->bytes > limits::usual_task_bytes) lock.lock();
    return lock;
  }

 private:
  std::mutex mutex_;
};

// The objects that the handlers use; all of them outlive the server.
struct Parts {
  Loop& loop;
  Store& store;
  Artifacts& artifacts;
  Waiters& waiters;
  StreamHub& hub;
  events::Journal& journal;
  WaitBound& waiting;
  LargeOutputs& large_outputs;
  ClosedFleet* closed = nullptr;  // nullptr: before setup; everybody who reaches the API is the operator
  // Of a closed fleet; both wait some seconds for the broker. The one ends an agent's certificate, session and tasks
  // (`serial`: only this certificate); the other tells the broker of an agent that is new, and ends the session of a
  // machine that had its name.
  std::function<Status(const std::string& who, const std::string& agent, const std::string& serial)> revoke_agent{};
  std::function<void(const std::string& agent)> settle_join{};
  // Tries all that the broker must refuse; only of a closed fleet. Takes seconds.
  std::function<Result<BrokerTrial>(const std::string& who)> try_broker{};
  std::uint64_t max_task_bytes = limits::usual_task_bytes;  // of an input
};

using Routes = std::vector<http_server::Route>;

}  // namespace edgefleet::coordinator
