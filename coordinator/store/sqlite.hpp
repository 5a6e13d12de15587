#pragma once

#include <memory>
#include <string>

#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

// DIR/edgefleet.db: WAL, synchronous FULL, so that a commit survives a power cut. Refuses a newer schema, and a
// directory that another coordinator has open.
Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& directory);

}  // namespace edgefleet::coordinator
