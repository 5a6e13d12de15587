#include "coordinator/store/sqlite.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "coordinator/store/guarded.hpp"
#include "coordinator/store/rows.hpp"
#include "coordinator/store/schema.hpp"
#include "coordinator/store/writer.hpp"

namespace edgefleet::coordinator {
namespace {

using rows::bind_id;
using rows::read_batch;
using rows::read_task;

class SqliteStore final : public Store {
 public:
  SqliteStore(const std::string& path, std::unique_ptr<DirectoryLock> lock)
      : lock_(std::move(lock)), db_(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 5000) {}
  Status prepare(const std::string& path, const Tell& tell) {
    // First of all: a file that is refused is left as it is.
    if (auto version = read_schema_version(db_, path); !version) return version.error();
    // A checkpoint writes each changed page once more: the rarer, the fewer. 4000 pages are 16 MiB, a moment's work
    // at the next start. What a large transaction leaves of the log is cut off at 64 MiB.
    db_.exec("PRAGMA journal_mode = WAL");
    db_.exec("PRAGMA synchronous = FULL");
    db_.exec("PRAGMA wal_autocheckpoint = 4000");
    db_.exec("PRAGMA journal_size_limit = 67108864");
    if (auto prepared = prepare_schema(db_, path, tell); !prepared) return prepared;
    writer_ = std::make_unique<Writer>(db_);
    reader_ = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READONLY, 5000);
    by_id_ = std::make_unique<SQLite::Statement>(*reader_, rows::select_task() + "WHERE t.id = ?");
    return success();
  }

  Status commit(const Writes& writes) override {
    if (writes.empty()) return success();
    return written("recording tasks", [&]() -> Status {
      writer_->commit(writes);
      return success();
    });
  }

  Status keep_time(Duration clock) override {
    return written("keeping the time", [&]() -> Status {
      writer_->keep_time(clock);
      return success();
    });
  }

  Result<Purged> purge(const Retention& retention, Duration clock, std::size_t most) override {
    return written("removing ended tasks", [&]() -> Result<Purged> { return writer_->purge(retention, clock, most); });
  }

  Result<std::uint64_t> epoch() override {
    return guarded("reading the epoch", [&]() -> Result<std::uint64_t> {
      return static_cast<std::uint64_t>(db_.execAndGet("SELECT value FROM meta WHERE key = 'epoch'").getInt64());
    });
  }

  Result<std::vector<AgentName>> drained_agents() override {
    return guarded("reading drained agents", [&]() -> Result<std::vector<AgentName>> {
      SQLite::Statement rows(db_, "SELECT agent FROM drained");
      std::vector<AgentName> all;
      while (rows.executeStep()) {
        if (auto name = AgentName::parse(rows.getColumn(0).getString())) all.push_back(std::move(*name));
      }
      return all;
    });
  }

  Result<Duration> clock() override {
    return guarded("reading the clock", [&]() -> Result<Duration> { return read_clock(); });
  }

  Result<std::vector<TaskId>> held() override {
    return guarded("reading held tasks", [&]() -> Result<std::vector<TaskId>> {
      SQLite::Statement row(db_, "SELECT id FROM held");
      std::vector<TaskId> all;
      while (row.executeStep()) all.push_back(TaskId{rows::from_bytes(row.getColumn(0))});
      return all;
    });
  }

  Result<std::vector<TaskRecord>> unfinished() override {
    return guarded("reading unfinished tasks", [&]() -> Result<std::vector<TaskRecord>> {
      const Duration clock = read_clock();
      const auto remaining = [&](const SQLite::Column& column) -> std::optional<Duration> {
        if (column.isNull()) return std::nullopt;
        return std::max(Duration{0}, std::chrono::milliseconds(column.getInt64()) - clock);
      };
      SQLite::Statement row(db_,
                            rows::select_task(", t.due_at_ms, t.expires_at_ms") + "WHERE t.state < ? ORDER BY t.id");
      row.bind(1, static_cast<int>(TaskState::succeeded));
      std::vector<TaskRecord> all;
      while (row.executeStep()) {
        all.push_back(read_task(row));
        all.back().due_in = remaining(row.getColumn(rows::task_columns));
        all.back().expires_in = remaining(row.getColumn(rows::task_columns + 1));
      }
      return all;
    });
  }

  Result<std::optional<TaskRecord>> task(const TaskId& id) override {
    return guarded("reading task " + id.str(), [&]() -> Result<std::optional<TaskRecord>> {
      const std::lock_guard lock(reading_);
      by_id_->tryReset();  // also ends the view of the database that an earlier look had
      bind_id(*by_id_, 1, id);
      std::optional<TaskRecord> found;
      if (by_id_->executeStep()) found = read_task(*by_id_);
      by_id_->tryReset();
      return found;
    });
  }

  Result<std::vector<TaskRecord>> tasks(const TaskQuery& query) override {
    return guarded("reading tasks", [&]() -> Result<std::vector<TaskRecord>> {
      std::string sql = rows::select_brief() + "WHERE 1";
      if (query.state) sql += " AND t.state = " + std::to_string(static_cast<int>(*query.state));
      if (query.capability) sql += " AND s.capability = :capability";
      if (query.batch) sql += " AND s.batch = :batch";
      if (query.before) sql += " AND t.id < :before";
      sql += " ORDER BY t.id DESC LIMIT " + std::to_string(query.limit);
      const std::lock_guard lock(reading_);
      SQLite::Statement row(*reader_, sql);
      if (query.capability) row.bind(":capability", query.capability->str());
      const auto bind_bytes = [&](const char* name, const Ulid& id) {
        const std::string bytes = rows::to_bytes(id);
        row.bind(name, bytes.data(), static_cast<int>(bytes.size()));
      };
      if (query.batch) bind_bytes(":batch", *query.batch);
      if (query.before) bind_bytes(":before", *query.before);
      return all_tasks(row);
    });
  }

  Result<std::optional<BatchRecord>> batch(const BatchId& id) override {
    return guarded("reading batch " + id.str(), [&]() -> Result<std::optional<BatchRecord>> {
      const std::lock_guard lock(reading_);
      SQLite::Statement row(*reader_, std::string(rows::select_batch) + "WHERE id = ?");
      bind_id(row, 1, id);
      if (!row.executeStep()) return std::optional<BatchRecord>{};
      return std::optional(read_batch(row));
    });
  }

  Result<std::array<std::size_t, task_state_count>> batch_counts(const BatchRecord& batch) override {
    return guarded("counting batch " + batch.id.str(), [&]() -> Result<std::array<std::size_t, task_state_count>> {
      const std::lock_guard lock(reading_);
      SQLite::Statement rows(*reader_, "SELECT state, count(*) FROM tasks WHERE id BETWEEN ? AND ? GROUP BY state");
      bind_id(rows, 1, batch.first);
      bind_id(rows, 2, batch.last);
      std::array<std::size_t, task_state_count> counts{};
      while (rows.executeStep()) {
        counts.at(static_cast<std::size_t>(rows.getColumn(0).getInt())) =
            static_cast<std::size_t>(rows.getColumn(1).getInt64());
      }
      return counts;
    });
  }

  Result<std::optional<TaskRecord>> task_by_key(const std::string& submitter, const std::string& key) override {
    return guarded("looking for an idempotency key", [&]() -> Result<std::optional<TaskRecord>> {
      const std::lock_guard lock(reading_);
      SQLite::Statement row(*reader_, rows::select_task() + "WHERE s.submitter = ? AND s.idempotency_key = ?");
      row.bind(1, submitter);
      row.bind(2, key);
      if (!row.executeStep()) return std::optional<TaskRecord>{};
      return std::optional(read_task(row));
    });
  }

  Result<std::optional<BatchRecord>> batch_by_key(const std::string& submitter, const std::string& key) override {
    return guarded("looking for an idempotency key", [&]() -> Result<std::optional<BatchRecord>> {
      const std::lock_guard lock(reading_);
      SQLite::Statement row(*reader_, std::string(rows::select_batch) + "WHERE submitter = ? AND idempotency_key = ?");
      row.bind(1, submitter);
      row.bind(2, key);
      if (!row.executeStep()) return std::optional<BatchRecord>{};
      return std::optional(read_batch(row));
    });
  }

  Result<bool> artifact_named(const std::string& artifact) override {
    return guarded("looking for tasks that name an artifact", [&]() -> Result<bool> {
      const std::lock_guard lock(reading_);
      SQLite::Statement row(*reader_, "SELECT 1 FROM artifact_names WHERE artifact = ? LIMIT 1");
      row.bind(1, artifact);
      return row.executeStep();
    });
  }

 private:
  Duration read_clock() {
    return std::chrono::milliseconds(db_.execAndGet("SELECT value FROM meta WHERE key = 'clock_ms'").getInt64());
  }

  template <typename Call>
  auto written(const std::string& what, Call call) -> decltype(call()) {
    auto result = guarded(what, call);
    if (result) return result;
    writer_->reset();
    // What the log holds already may go into the database, and its room be used again: that needs no more disk.
    if (result.error().kind == ErrorKind::full) db_.tryExec("PRAGMA wal_checkpoint(PASSIVE)");
    return result;
  }

  static std::vector<TaskRecord> all_tasks(SQLite::Statement& row) {
    std::vector<TaskRecord> all;
    while (row.executeStep()) all.push_back(read_task(row));
    return all;
  }

  std::unique_ptr<DirectoryLock> lock_;
  SQLite::Database db_;
  std::unique_ptr<Writer> writer_;
  std::mutex reading_;
  std::unique_ptr<SQLite::Database> reader_;
  std::unique_ptr<SQLite::Statement> by_id_;  // what every long poll asks
};

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& directory, const Tell& tell) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure) return Error{"data directory " + directory + " cannot be made: " + failure.message()};
  auto lock = std::make_unique<DirectoryLock>();
  if (auto taken = lock->take(directory); !taken) return taken.error();
  const std::string path = database_path(directory);
  if (std::filesystem::exists(restoring_path(directory), failure) && !std::filesystem::exists(path, failure)) {
    return Error{"data directory " + directory + " is half restored: `edgefleet-coordinator restore` was broken off. " +
                 "Run it again with --force; to begin anew instead, remove " + restoring_path(directory)};
  }
  return guarded("opening " + path, [&]() -> Result<std::unique_ptr<Store>> {
    auto store = std::make_unique<SqliteStore>(path, std::move(lock));
    if (auto prepared = store->prepare(path, tell); !prepared) return prepared.error();
    return std::unique_ptr<Store>(std::move(store));
  });
}

}  // namespace edgefleet::coordinator
