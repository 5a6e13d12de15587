#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <string>

#include "common/core/result.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

// A copy of the database as it is now, consistent while others write to it, on the disk when it returns. `to` is
// replaced as a whole or not at all.
Status copy_database(SQLite::Database& from, const std::string& to, const Tell& tell);

}  // namespace edgefleet::coordinator
