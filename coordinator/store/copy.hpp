#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <string>

#include "common/core/result.hpp"
#include "coordinator/store/directory.hpp"

namespace edgefleet::coordinator {

// A copy of the database as it is now, consistent while others write to it, on the disk when it returns. `to` is
// replaced as a whole or not at all.
Status copy_database(SQLite::Database& from, const std::string& to, const Tell& tell);

// As a step of a sentence: "12.5 MiB", "340 bytes".
std::string show_bytes(std::uint64_t bytes);

}  // namespace edgefleet::coordinator
