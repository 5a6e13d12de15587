#pragma once

#include <memory>
#include <string>

#include "coordinator/store/data/directory.hpp"
#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

// DIR/edgefleet.db: WAL, synchronous FULL, so that a commit survives a power cut. Migrates an older schema, refuses a
// newer one, and a directory that another coordinator has open.
Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& directory, const Tell& tell = {});

}  // namespace edgefleet::coordinator
