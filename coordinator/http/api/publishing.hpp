// The broker's files after a change of accesses or agents.
#pragma once

#include "common/runtime/log.hpp"
#include "coordinator/access/closed_fleet.hpp"

namespace edgefleet::coordinator {

// For a change that is good without the broker: if its files cannot be written now, the next maintenance tries again.
inline void publish_later_if_needed(ClosedFleet& closed) {
  if (const auto published = closed.publish(); !published) log::warning(published.error().message);
}

}  // namespace edgefleet::coordinator
