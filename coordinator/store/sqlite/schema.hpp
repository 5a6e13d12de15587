// The tables, their version, and the migrations.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <string>

#include "common/core/result.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

int newest_schema();

// Sets tasks.bytes of the ended tasks that have none yet. The writer sets it for each task that ends.
extern const char* const count_bytes;

// Refuses a file that is not a database of edgefleet, and one of a newer version. 0: it is empty.
Result<int> read_schema_version(SQLite::Database& db, const std::string& path);

// Creates the tables of a new database, or migrates an older one, one transaction for each step. Before the first step
// the old file is copied to edgefleet.db.schema-1 beside edgefleet.db, for a downgrade.
Status prepare_schema(SQLite::Database& db, const std::string& path, const Tell& tell);

// The same without a copy, for a file that is already a copy.
Status migrate_schema(SQLite::Database& db, const Tell& tell);

}  // namespace edgefleet::coordinator
