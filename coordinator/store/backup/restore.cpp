#include <algorithm>
#include <filesystem>

#include "common/files/durable_write.hpp"
#include "common/protocol/codec.hpp"
#include "common/system/clock.hpp"
#include "coordinator/store/artifacts/files.hpp"
#include "coordinator/store/attempts.hpp"
#include "coordinator/store/backup/backup.hpp"
#include "coordinator/store/sqlite/copy.hpp"
#include "coordinator/store/sqlite/guarded.hpp"
#include "coordinator/store/sqlite/rows.hpp"
#include "coordinator/store/sqlite/schema.hpp"

namespace edgefleet::coordinator {
namespace fs = std::filesystem;
namespace {

struct Source {
  std::string database;
  std::string artifacts;  // empty: there are none
};

Result<Source> find_source(const std::string& from) {
  std::error_code failure;
  if (fs::is_regular_file(from, failure)) return Source{from, {}};
  if (fs::is_regular_file(database_path(from), failure)) return Source{database_path(from), artifacts_path(from)};
  return Error{from + " is not a backup: it is neither a file nor a folder that contains edgefleet.db",
               ErrorKind::not_found};
}

bool is_empty(const std::string& data) {
  std::error_code failure;
  for (fs::directory_iterator it(data, failure), end; !failure && it != end; it.increment(failure)) {
    const std::string name = it->path().filename();
    const bool unfinished = name.starts_with("restoring") || it->path() == restoring_path(data);
    if (name != "lock" && name != "reserve" && name != "lost+found" && !unfinished) return false;
  }
  return true;
}

// Handles the tasks that an agent had when the backup was made. The agent may still return a task or report its result;
// an at-most-once task is not run again, whatever its outcome was.
struct Assigned {
  TaskId id;
  bool once = false;
  std::vector<Attempt> attempts;
};

Result<std::vector<Assigned>> assigned_tasks(SQLite::Database& db) {
  std::vector<Assigned> all;
  SQLite::Statement row(db,
                        "SELECT t.id, s.max_attempts, t.attempts FROM tasks t JOIN specs s ON s.id = t.id "
                        "WHERE t.state IN (?, ?)");
  row.bind(1, static_cast<int>(TaskState::assigned));
  row.bind(2, static_cast<int>(TaskState::running));
  while (row.executeStep()) {
    Assigned task{TaskId{rows::from_bytes(row.getColumn(0))}, row.getColumn(1).getInt() == 1, {}};
    auto attempts = decode_attempts(row.getColumn(2).getString());
    if (!attempts) return attempts.error().context("task " + task.id.str());
    task.attempts = std::move(*attempts);
    all.push_back(std::move(task));
  }
  return all;
}

void take_from_agent(SQLite::Database& db, Assigned& task, WallTime wall) {
  std::string agent;
  for (Attempt& attempt : task.attempts) {
    if (ended(attempt.state)) continue;
    agent = attempt.agent.str();
    attempt.state = AttemptState::lost;
    attempt.spent = task.once;
    attempt.ended_at = wall;
    attempt.error = TaskError{"restored", "the coordinator was restored from a backup", true, {}};
  }
  SQLite::Statement save(db,
                         "UPDATE tasks SET state = ?, attempts = ?, error = ?, ended_at = ?, ended_at_ms = "
                         "(SELECT value FROM meta WHERE key = 'clock_ms' AND ?) WHERE id = ?");
  const std::string attempts = encode_attempts(task.attempts);
  std::string error;
  save.bind(1, static_cast<int>(task.once ? TaskState::failed : TaskState::queued));
  rows::bind_text(save, 2, attempts);
  if (task.once) {
    protocol::append_error(error, TaskError{"outcome_unknown",
                                            "agent " + agent +
                                                " had it when the backup was made; it is not known whether "
                                                "the task was done",
                                            false,
                                            {}});
    rows::bind_text(save, 3, error);
    save.bind(4, wall.unix_ms);
  }
  save.bind(5, task.once ? 1 : 0);
  rows::bind_id(save, 6, task.id);
  save.exec();
}

// Cancellations in progress continue; other unfinished tasks are held.
Result<RestoreReport> hold_unfinished(SQLite::Database& db) {
  SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
  auto assigned = assigned_tasks(db);
  if (!assigned) return assigned.error();
  for (auto& task : *assigned) take_from_agent(db, task, wall_now());
  db.exec(count_bytes);
  db.exec("INSERT OR IGNORE INTO held SELECT id FROM tasks WHERE state < " +
          std::to_string(static_cast<int>(TaskState::cancelling)));
  db.exec("UPDATE identity SET store = lower(hex(randomblob(10)))");
  RestoreReport report;
  report.tasks = static_cast<std::uint64_t>(db.execAndGet("SELECT count(*) FROM tasks").getInt64());
  report.held = static_cast<std::uint64_t>(db.execAndGet("SELECT count(*) FROM held").getInt64());
  report.unknown = static_cast<std::uint64_t>(
      std::count_if(assigned->begin(), assigned->end(), [](const Assigned& task) { return task.once; }));
  transaction.commit();
  return report;
}

// Copies the backup's database and prepares it for a coordinator; the backup itself is not changed.
Result<RestoreReport> prepare_database(const std::string& from, const std::string& path, const Tell& tell) {
  return guarded("reading the backup " + from, [&]() -> Result<RestoreReport> {
    {
      SQLite::Database source(from, SQLite::OPEN_READONLY, 5000);
      const auto version = read_schema_version(source, from);
      if (!version) return version.error();
      if (*version == 0) return Error{"the backup " + from + " is empty: it contains no database; use another backup"};
      if (auto copied = copy_database(source, path, tell); !copied) return copied.error();
    }
    SQLite::Database db(path, SQLite::OPEN_READWRITE);
    db.exec("PRAGMA journal_mode = DELETE");
    const std::string found = db.execAndGet("PRAGMA integrity_check(1)").getString();
    if (found != "ok") return Error{"the backup " + from + " is damaged (" + found + "); use another backup"};
    if (auto migrated = migrate_schema(db, tell); !migrated) return migrated.error();
    return hold_unfinished(db);
  });
}

// replaced-N in the data directory; when complete, it is itself a folder to restore from.
Result<std::string> folder_for_replaced(const std::string& data, const Tell& tell) {
  std::error_code failure;
  std::string folder;
  for (int n = 1; folder.empty() || fs::exists(folder, failure); ++n) folder = data + "/replaced-" + std::to_string(n);
  fs::create_directory(folder, failure);
  if (failure) return Error{folder + " cannot be created: " + failure.message()};
  if (auto taken = take_artifacts(artifacts_path(data), artifacts_path(folder), tell); !taken) return taken.error();
  return folder;
}

// The log is moved together with its database.
Status move_database(const std::string& data, const std::string& folder) {
  std::error_code failure;
  for (const char* suffix : {"-wal", "-shm", ""}) {
    const std::string path = database_path(data) + suffix;
    if (!fs::exists(path, failure)) continue;
    if (auto moved = rename_durably(path, database_path(folder) + suffix); !moved) return moved;
  }
  return success();
}

// Steps that can fail for lack of space come before the database is moved.
Status put_in_place(const Source& source, const std::string& data, bool empty, RestoreReport& report, const Tell& tell,
                    const RestoredToo& too) {
  if (!empty) {
    auto folder = folder_for_replaced(data, tell);
    if (!folder) return folder.error();
    report.replaced = *folder;
    if (auto kept = too.keep ? too.keep(report.replaced) : success(); !kept) return kept;
  }
  if (!source.artifacts.empty()) {
    const auto taken = take_artifacts(source.artifacts, artifacts_path(data), tell);
    if (!taken) return taken.error();
    report.artifacts = taken->files;
  }
  if (auto synced = sync_file(restoring_path(data)); !synced) return synced;
  if (!empty) {
    if (auto moved = move_database(data, report.replaced); !moved) return moved;
  }
  if (auto placed = rename_durably(restoring_path(data), database_path(data)); !placed) return placed;
  return too.finish ? too.finish() : success();
}

}  // namespace

Result<RestoreReport> restore(const std::string& from, const std::string& data, bool force, const Tell& tell,
                              const RestoredToo& too) {
  const auto source = find_source(from);
  if (!source) return source.error();
  std::error_code failure;
  DirectoryLock lock;
  if (auto taken = lock.take(data); !taken) return taken.error();
  const bool empty = is_empty(data);
  if (!empty && !force) {
    return Error{"data directory " + data +
                     " is not empty; pass --force to replace its content, which is then kept in DIR/replaced-N",
                 ErrorKind::conflict};
  }
  auto report = prepare_database(source->database, restoring_path(data), tell);
  auto done = report ? success() : Status(report.error());
  if (done && too.prepare) done = too.prepare();
  if (done) done = put_in_place(*source, data, empty, *report, tell, too);
  if (done) return report;
  // Without a database a coordinator would start with an empty one. The prepared file is left in place to prevent that.
  if (fs::exists(database_path(data), failure)) fs::remove(restoring_path(data), failure);
  return done.error();
}

}  // namespace edgefleet::coordinator
