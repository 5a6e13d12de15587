#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <string>

#include "common/core/result.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

// Copies the current state of the database, consistent while others write to it. The copy is on the disk when this
// returns. `to` is replaced completely or not at all.
Status copy_database(SQLite::Database& from, const std::string& to, const Tell& tell);

}  // namespace edgefleet::coordinator
