// The tables, their version, and the way from an older one.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <string>

#include "common/core/result.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

int newest_schema();

// Refuses a file that is no database of ours, and one of a newer version. 0: nothing is in it yet.
Result<int> read_schema_version(SQLite::Database& db, const std::string& path);

// Makes the tables of a new database, or brings an older one to our version, a step a transaction. Before the first
// step the older file is copied: edgefleet.db.schema-1 beside edgefleet.db, for whoever must go back.
Status prepare_schema(SQLite::Database& db, const std::string& path, const Tell& tell);

// The same without a copy, for what is a copy already.
Status migrate_schema(SQLite::Database& db, const Tell& tell);

}  // namespace edgefleet::coordinator
