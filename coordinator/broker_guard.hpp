// Watches the broker of a fleet after setup.
#pragma once

#include <stop_token>

#include "coordinator/access/closed_fleet.hpp"

namespace edgefleet::coordinator {

// Until it is stopped; blocking, for a thread of its own. Logs what mosquitto/watch.sh reports. After each reload, and
// every minute, it tries what the broker must refuse (shell/canary.hpp). If something gets through, the broker is
// stopped and starts again, because Mosquitto refuses bad files at a start; if it happens again soon, it stays stopped.
void guard_broker(const std::stop_token& stop, ClosedFleet& closed);

}  // namespace edgefleet::coordinator
