#include "coordinator/store/sqlite/schema.hpp"

#include <array>

#include "common/core/task.hpp"
#include "coordinator/store/sqlite/copy.hpp"

namespace edgefleet::coordinator {
namespace {

struct Migration {
  std::string what;  // for the log
  std::string sql;
};

// The constant part of a task has its own table (`specs`), so that a change of state does not write its input again.
// Ids are ULIDs, 16 bytes big endian: new rows go to the end of both trees.
constexpr const char* tables = R"sql(
CREATE TABLE specs (
  id BLOB PRIMARY KEY, capability TEXT NOT NULL, input TEXT NOT NULL, name TEXT NOT NULL, priority INTEGER NOT NULL,
  timeout_ns INTEGER NOT NULL, expires_after_ns INTEGER, delay_ns INTEGER NOT NULL, max_attempts INTEGER NOT NULL,
  conditions TEXT NOT NULL, submitter TEXT NOT NULL, idempotency_key TEXT, batch BLOB, accepted_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX specs_by_key ON specs (submitter, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE tasks (
  id BLOB PRIMARY KEY, state INTEGER NOT NULL, rank INTEGER NOT NULL, allowed_attempts INTEGER NOT NULL,
  due_in_ns INTEGER, expires_in_ns INTEGER, ended_at INTEGER, attempts TEXT NOT NULL, output TEXT, error TEXT,
  usage TEXT, run_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tasks_failed ON tasks (id) WHERE state = 6;
CREATE TABLE batches (
  id BLOB PRIMARY KEY, submitter TEXT NOT NULL, idempotency_key TEXT, fingerprint TEXT NOT NULL, first BLOB NOT NULL,
  last BLOB NOT NULL, total INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX batches_by_key ON batches (submitter, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE artifact_names (artifact TEXT NOT NULL, task BLOB NOT NULL, PRIMARY KEY (artifact, task)) WITHOUT ROWID;
CREATE TABLE drained (agent TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE reign (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL);
INSERT INTO reign VALUES (1, 0);
)sql";
static_assert(static_cast<int>(TaskState::failed) == 6, "tasks_failed names the number");

// Deadlines and end times use the store's own clock (meta.clock_ms: how long coordinators have run on this store),
// which starts here at 0: so a remaining time equals a time on this clock.
constexpr const char* clock = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta SELECT 'epoch', epoch FROM reign;
INSERT INTO meta VALUES ('clock_ms', 0);
DROP TABLE reign;
ALTER TABLE tasks RENAME COLUMN due_in_ns TO due_at_ms;
ALTER TABLE tasks RENAME COLUMN expires_in_ns TO expires_at_ms;
ALTER TABLE tasks ADD COLUMN ended_at_ms INTEGER;
UPDATE tasks SET due_at_ms = due_at_ms / 1000000 WHERE due_at_ms IS NOT NULL;
UPDATE tasks SET expires_at_ms = expires_at_ms / 1000000 WHERE expires_at_ms IS NOT NULL;
UPDATE tasks SET ended_at_ms = 0 WHERE state >= 5;
CREATE INDEX tasks_ended ON tasks (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
CREATE INDEX artifact_names_by_task ON artifact_names (task);
CREATE TABLE held (id BLOB PRIMARY KEY) WITHOUT ROWID;
)sql";
static_assert(static_cast<int>(TaskState::succeeded) == 5, "the states from 5 on are outcomes");

// Lists by capability, and of tasks that ended without success (docs/store.md). Both are written when a task is created
// or has ended, not in between.
constexpr const char* lists = R"sql(
DROP INDEX tasks_failed;
CREATE INDEX tasks_unsuccessful ON tasks (state, id) WHERE state > 5;
CREATE INDEX specs_by_capability ON specs (capability, id);
)sql";

// The index has everything that a removal of old tasks looks at: their texts are not read for it, and a start sums up
// the index only.
constexpr const char* bytes = R"sql(
ALTER TABLE tasks ADD COLUMN bytes INTEGER;
DROP INDEX tasks_ended;
CREATE INDEX tasks_ended ON tasks (ended_at_ms, id, bytes) WHERE ended_at_ms IS NOT NULL;
)sql";

// Which store this is, and the session of the last coordinator that worked with it.
constexpr const char* identity = R"sql(
CREATE TABLE identity (one INTEGER PRIMARY KEY CHECK (one = 1), store TEXT NOT NULL, session TEXT NOT NULL);
INSERT INTO identity VALUES (1, lower(hex(randomblob(10))), '');
)sql";

// An input or output that is a file: `{"artifact","bytes","artifacts"?}`. Its input is 'null', its output NULL.
constexpr const char* text_files = R"sql(
ALTER TABLE specs ADD COLUMN input_at TEXT;
ALTER TABLE tasks ADD COLUMN output_at TEXT;
)sql";

// Lists of one submitter's tasks. Those of everybody on this machine (rows::local_submitter) need no index.
constexpr const char* submitters = R"sql(
CREATE INDEX specs_by_submitter ON specs (submitter, id) WHERE submitter <> 'http';
)sql";

// What a client has used of its budget, by days since 1970 (UTC).
constexpr const char* tokens = R"sql(
CREATE TABLE tokens_used (
  day INTEGER NOT NULL, client TEXT NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY (day, client)
) WITHOUT ROWID;
)sql";

// Step n, counted from 0, makes version n + 1. A released step is never changed: a change is a new step.
const std::array<Migration, 8>& migrations() {
  static const std::array<Migration, 8> all = {{
      {"the tables", tables},
      {"a store clock, retention, tasks held after a restore", clock},
      {"lists by capability and of failed tasks", lists},
      {"the size of tasks that have ended", std::string(bytes) + count_bytes},
      {"an identity of the store", identity},
      {"inputs and outputs that are files", text_files},
      {"lists by submitter", submitters},
      {"tokens used", tokens},
  }};
  return all;
}

Status copy_aside(SQLite::Database& db, const std::string& path, int version, const Tell& tell) {
  const std::string copy = path + ".schema-" + std::to_string(version);
  if (auto copied = copy_database(db, copy, tell); !copied) {
    return copied.error().context("the database has schema " + std::to_string(version) + " and must be migrated to " +
                                  std::to_string(newest_schema()) + "; copying it before the migration");
  }
  if (tell) {
    tell("a copy of the database before the migration (schema " + std::to_string(version) + ") is kept in " + copy);
  }
  return success();
}

}  // namespace

const char* const count_bytes = R"sql(
UPDATE tasks SET bytes = length(CAST(attempts AS BLOB)) + ifnull(length(CAST(output AS BLOB)), 0) +
  ifnull(length(CAST(error AS BLOB)), 0) + ifnull(length(CAST(usage AS BLOB)), 0) +
  ifnull((SELECT length(CAST(s.input AS BLOB)) + length(CAST(s.name AS BLOB)) + length(CAST(s.conditions AS BLOB))
          FROM specs s WHERE s.id = tasks.id), 0)
  WHERE ended_at_ms IS NOT NULL AND bytes IS NULL;
)sql";

int newest_schema() { return static_cast<int>(migrations().size()); }

Result<int> read_schema_version(SQLite::Database& db, const std::string& path) {
  const int found = db.execAndGet("PRAGMA user_version").getInt();
  if (found > newest_schema()) {
    return Error{path + " was written by a newer edgefleet: it has schema " + std::to_string(found) +
                 ", but edgefleet " EDGEFLEET_VERSION " supports schemas up to " + std::to_string(newest_schema()) +
                 "; install the newer version, or restore a backup made by this one"};
  }
  const bool empty = db.execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0;
  const bool ours = found > 0 && db.tableExists("specs") && db.tableExists("tasks");
  if (found < 0 || (!ours && !empty) || (found > 0 && empty)) {
    return Error{path + " is not a database of edgefleet; move it away, or choose another directory with --data"};
  }
  return found;
}

Status migrate_schema(SQLite::Database& db, const Tell& tell) {
  const int found = db.execAndGet("PRAGMA user_version").getInt();
  for (auto version = static_cast<std::size_t>(found); version < migrations().size(); ++version) {
    const Migration& migration = migrations().at(version);
    if (tell && found > 0) {
      tell("migrating the database to schema " + std::to_string(version + 1) + ": " + migration.what);
    }
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    db.exec(migration.sql);
    db.exec("PRAGMA user_version = " + std::to_string(version + 1));
    transaction.commit();
  }
  return success();
}

Status prepare_schema(SQLite::Database& db, const std::string& path, const Tell& tell) {
  const auto found = read_schema_version(db, path);
  if (!found) return found.error();
  if (*found > 0 && *found < newest_schema()) {
    if (auto copied = copy_aside(db, path, *found, tell); !copied) return copied;
  }
  return migrate_schema(db, tell);
}

}  // namespace edgefleet::coordinator
