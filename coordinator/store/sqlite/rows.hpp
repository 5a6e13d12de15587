// Conversion between the rows of the tables and the records of the core.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <optional>
#include <string>
#include <vector>

#include "coordinator/core/submitter.hpp"
#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator::rows {

// The columns that read_task() expects; more may follow them.
std::string select_task(const std::string& more = {});
// The same shape without the large texts; `from` joins tasks t and specs s.
std::string select_brief(const std::string& from);

// Ids are ULIDs, 16 bytes big endian: new rows go to the end of the tables' trees.
std::string to_bytes(const Ulid& id);
Ulid from_bytes(const SQLite::Column& column);

void bind_id(SQLite::Statement& statement, int at, const Ulid& id);
void bind_text(SQLite::Statement& statement, int at, const std::string& text);  // must outlive the statement's run
void bind_text_or_null(SQLite::Statement& statement, int at, const std::string& text);
void bind_ns(SQLite::Statement& statement, int at, const std::optional<Duration>& duration);

std::string encode_where(const Where& where);

// Throws SQLite::Exception if the attempts cannot be read. Remaining times are not filled in.
TaskRecord read_task(SQLite::Statement& row);
constexpr int task_columns = 25;
// Of the tasks over HTTP before there are accesses: there may be a million, and nobody lists them as one submitter's.
constexpr const char* local_submitter = coordinator::local_client.data();
constexpr const char* select_batch =
    "SELECT id, submitter, idempotency_key, fingerprint, first, last, total FROM batches ";
BatchRecord read_batch(SQLite::Statement& row);

}  // namespace edgefleet::coordinator::rows
