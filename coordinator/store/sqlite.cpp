#include "coordinator/store/sqlite.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "common/protocol/codec.hpp"
#include "common/protocol/fields.hpp"
#include "coordinator/store/attempts.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr int schema_version = 1;

// What never changes of a task stands apart (`specs`), so that a change of state does not write its input again.
// Ids are ULIDs, 16 bytes big endian: new rows go to the end of both trees.
constexpr const char* schema = R"sql(
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

constexpr const char* select_task =
    "SELECT s.id, s.capability, s.input, s.name, s.priority, s.timeout_ns, s.expires_after_ns, s.delay_ns, "
    "s.max_attempts, s.conditions, s.submitter, s.idempotency_key, s.batch, s.accepted_at, t.state, t.rank, "
    "t.allowed_attempts, t.due_in_ns, t.expires_in_ns, t.ended_at, t.attempts, t.output, t.error, t.usage, t.run_ns "
    "FROM tasks t JOIN specs s ON s.id = t.id ";
// The same shape without the large texts.
constexpr const char* select_brief =
    "SELECT s.id, s.capability, 'null', s.name, s.priority, s.timeout_ns, s.expires_after_ns, s.delay_ns, "
    "s.max_attempts, s.conditions, s.submitter, s.idempotency_key, s.batch, s.accepted_at, t.state, t.rank, "
    "t.allowed_attempts, t.due_in_ns, t.expires_in_ns, t.ended_at, t.attempts, NULL, t.error, t.usage, t.run_ns "
    "FROM tasks t JOIN specs s ON s.id = t.id ";

std::string to_bytes(const Ulid& id) {
  std::string bytes(16, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(id.high >> (56U - 8U * i));
    bytes[8 + i] = static_cast<char>(id.low >> (56U - 8U * i));
  }
  return bytes;
}

Ulid from_bytes(const SQLite::Column& column) {
  Ulid id;
  if (column.getBytes() != 16) return id;
  const auto* bytes = static_cast<const unsigned char*>(column.getBlob());
  for (std::size_t i = 0; i < 8; ++i) {
    id.high = (id.high << 8U) | bytes[i];
    id.low = (id.low << 8U) | bytes[8 + i];
  }
  return id;
}

void bind_id(SQLite::Statement& statement, int at, const Ulid& id) {
  const std::string bytes = to_bytes(id);
  statement.bind(at, bytes.data(), static_cast<int>(bytes.size()));
}
void bind_text(SQLite::Statement& statement, int at, const std::string& text) { statement.bindNoCopy(at, text); }
void bind_text_or_null(SQLite::Statement& statement, int at, const std::string& text) {
  if (text.empty()) {
    statement.bind(at);
  } else {
    statement.bindNoCopy(at, text);
  }
}
void bind_ns(SQLite::Statement& statement, int at, const std::optional<Duration>& duration) {
  if (duration) {
    statement.bind(at, duration->count());
  } else {
    statement.bind(at);
  }
}

std::optional<Duration> duration_or_none(const SQLite::Column& column) {
  if (column.isNull()) return std::nullopt;
  return Duration{column.getInt64()};
}

std::string encode_where(const Where& where) {
  std::string out;
  {
    json::ObjectWriter object(out);
    for (const auto& [name, value] : where) object.string(name, value);
  }
  return out;
}

Where decode_where(const std::string& text) {
  Where where;
  if (const auto object = json::Object::read(text)) {
    for (const auto& [name, value] : object->members()) where[name] = json::as_string(value).value_or("");
  }
  return where;
}

TaskRecord read_task(SQLite::Statement& row) {
  TaskRecord record;
  TaskSpec& spec = record.spec;
  int at = 0;
  record.id = TaskId{from_bytes(row.getColumn(at++))};
  spec.capability = Capability::parse(row.getColumn(at++).getString()).value_or(Capability{});
  spec.input = row.getColumn(at++).getString();
  spec.name = row.getColumn(at++).getString();
  spec.priority = row.getColumn(at++).getInt();
  spec.timeout = Duration{row.getColumn(at++).getInt64()};
  spec.expires_after = duration_or_none(row.getColumn(at++));
  spec.delay = Duration{row.getColumn(at++).getInt64()};
  spec.max_attempts = row.getColumn(at++).getInt();
  spec.where = decode_where(row.getColumn(at++).getString());
  record.submitter = row.getColumn(at++).getString();
  record.idempotency_key = row.getColumn(at++).getString();
  if (const auto batch = row.getColumn(at++); !batch.isNull()) record.batch = BatchId{from_bytes(batch)};
  record.accepted_at = WallTime{row.getColumn(at++).getInt64()};
  record.state = static_cast<TaskState>(std::clamp(row.getColumn(at++).getInt(), 0, int{task_state_count} - 1));
  record.order = row.getColumn(at++).getInt64();
  record.allowed_attempts = row.getColumn(at++).getInt();
  record.due_in = duration_or_none(row.getColumn(at++));
  record.expires_in = duration_or_none(row.getColumn(at++));
  if (const auto ended = row.getColumn(at++); !ended.isNull()) record.ended_at = WallTime{ended.getInt64()};
  auto attempts = decode_attempts(row.getColumn(at++).getString());
  if (!attempts) throw SQLite::Exception("task " + record.id.str() + ": " + attempts.error().message);
  record.attempts = std::move(*attempts);
  record.output = row.getColumn(at++).getString();
  if (const auto error = row.getColumn(at++); !error.isNull()) {
    if (auto decoded = protocol::decode_error(error.getString())) record.error = std::move(*decoded);
  }
  record.usage = row.getColumn(at++).getString();
  record.run = Duration{row.getColumn(at++).getInt64()};
  return record;
}

BatchRecord read_batch(SQLite::Statement& row) {
  return BatchRecord{BatchId{from_bytes(row.getColumn(0))},
                     row.getColumn(1).getString(),
                     row.getColumn(2).getString(),
                     row.getColumn(3).getString(),
                     TaskId{from_bytes(row.getColumn(4))},
                     TaskId{from_bytes(row.getColumn(5))},
                     static_cast<std::size_t>(row.getColumn(6).getInt64())};
}

// Turns SQLite's exceptions into a Result, and says what to do about the usual ones.
template <typename Call>
auto guarded(const std::string& what, Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const SQLite::Exception& failure) {
    const int code = failure.getErrorCode();
    if (code == SQLITE_FULL) return Error{what + ": the disk is full; free some space", ErrorKind::full};
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
      return Error{what + ": the database is damaged (" + failure.what() + "); restore it from a backup"};
    }
    return Error{what + ": " + failure.what()};
  }
}

// The statements that a commit runs.
class Writer {
 public:
  explicit Writer(SQLite::Database& db)
      : db_(db),
        insert_spec_(db, "INSERT OR REPLACE INTO specs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"),
        save_task_(db, "INSERT OR REPLACE INTO tasks VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"),
        insert_batch_(db, "INSERT OR REPLACE INTO batches VALUES (?,?,?,?,?,?,?)"),
        name_artifact_(db, "INSERT OR IGNORE INTO artifact_names VALUES (?,?)"),
        drain_(db, "INSERT OR IGNORE INTO drained VALUES (?)"),
        resume_(db, "DELETE FROM drained WHERE agent = ?"),
        epoch_(db, "UPDATE reign SET epoch = ?") {}

  void commit(const Writes& writes) {
    SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
    for (const TaskWrite& write : writes.tasks) {
      if (write.created) spec(*write.record);
      task(write);
    }
    for (const BatchRecord& record : writes.batches) batch(record);
    for (const auto& [agent, drained] : writes.drained) {
      auto& statement = drained ? drain_ : resume_;
      bind_text(statement, 1, agent.str());
      run(statement);
    }
    if (writes.epoch) {
      epoch_.bind(1, static_cast<std::int64_t>(*writes.epoch));
      run(epoch_);
    }
    transaction.commit();
  }
  // After a failure statements may stand half way.
  void reset() {
    for (auto* statement : {&insert_spec_, &save_task_, &insert_batch_, &name_artifact_, &drain_, &resume_, &epoch_}) {
      statement->tryReset();
    }
  }

 private:
  static void run(SQLite::Statement& statement) {
    statement.exec();
    statement.reset();
  }

  void spec(const TaskRecord& record) {
    const TaskSpec& spec = record.spec;
    const std::string where = encode_where(spec.where);
    auto& s = insert_spec_;
    bind_id(s, 1, record.id);
    bind_text(s, 2, spec.capability.str());
    bind_text(s, 3, spec.input);
    bind_text(s, 4, spec.name);
    s.bind(5, spec.priority);
    s.bind(6, spec.timeout.count());
    bind_ns(s, 7, spec.expires_after);
    s.bind(8, spec.delay.count());
    s.bind(9, spec.max_attempts);
    bind_text(s, 10, where);
    bind_text(s, 11, record.submitter);
    bind_text_or_null(s, 12, record.idempotency_key);
    if (record.batch) {
      bind_id(s, 13, *record.batch);
    } else {
      s.bind(13);
    }
    s.bind(14, record.accepted_at.unix_ms);
    run(s);
    name_artifacts(record.id, spec.input);
  }

  void task(const TaskWrite& write) {
    const TaskRecord& record = *write.record;
    const std::string attempts = encode_attempts(record.attempts);
    std::string error;
    if (record.error) protocol::append_error(error, *record.error);
    auto& s = save_task_;
    bind_id(s, 1, record.id);
    s.bind(2, static_cast<int>(record.state));
    s.bind(3, record.order);
    s.bind(4, record.allowed_attempts);
    bind_ns(s, 5, write.due_in);
    bind_ns(s, 6, write.expires_in);
    if (record.ended_at) {
      s.bind(7, record.ended_at->unix_ms);
    } else {
      s.bind(7);
    }
    bind_text(s, 8, attempts);
    bind_text_or_null(s, 9, record.output);
    bind_text_or_null(s, 10, error);
    bind_text_or_null(s, 11, record.usage);
    s.bind(12, record.run.count());
    run(s);
    name_artifacts(record.id, record.output);
  }

  void batch(const BatchRecord& record) {
    auto& s = insert_batch_;
    bind_id(s, 1, record.id);
    bind_text(s, 2, record.submitter);
    bind_text_or_null(s, 3, record.idempotency_key);
    bind_text(s, 4, record.fingerprint);
    bind_id(s, 5, record.first);
    bind_id(s, 6, record.last);
    s.bind(7, static_cast<std::int64_t>(record.total));
    run(s);
  }

  void name_artifacts(const TaskId& id, const std::string& text) {
    for (const std::string& artifact : artifacts_in(text)) {
      bind_text(name_artifact_, 1, artifact);
      bind_id(name_artifact_, 2, id);
      run(name_artifact_);
    }
  }

  SQLite::Database& db_;
  SQLite::Statement insert_spec_;
  SQLite::Statement save_task_;
  SQLite::Statement insert_batch_;
  SQLite::Statement name_artifact_;
  SQLite::Statement drain_;
  SQLite::Statement resume_;
  SQLite::Statement epoch_;
};

// Held for as long as the store is open.
class DirectoryLock {
 public:
  DirectoryLock() = default;
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  DirectoryLock(DirectoryLock&&) = delete;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock() {
    if (fd_ >= 0) close(fd_);
  }
  bool take(const std::string& path) {
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd_ >= 0 && flock(fd_, LOCK_EX | LOCK_NB) == 0;
  }

 private:
  int fd_ = -1;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(const std::string& path, std::unique_ptr<DirectoryLock> lock)
      : lock_(std::move(lock)), db_(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 5000) {
    prepare();
    writer_ = std::make_unique<Writer>(db_);
    reader_ = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READONLY, 5000);
    by_id_ = std::make_unique<SQLite::Statement>(*reader_, std::string(select_task) + "WHERE t.id = ?");
  }
  Status commit(const Writes& writes) override {
    if (writes.empty()) return success();
    auto status = guarded("recording tasks", [&]() -> Status {
      writer_->commit(writes);
      return success();
    });
    if (!status) writer_->reset();
    return status;
  }

  Result<std::uint64_t> epoch() override {
    return guarded("reading the epoch", [&]() -> Result<std::uint64_t> {
      return static_cast<std::uint64_t>(db_.execAndGet("SELECT epoch FROM reign").getInt64());
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

  Result<std::vector<TaskRecord>> unfinished() override {
    return guarded("reading unfinished tasks", [&]() -> Result<std::vector<TaskRecord>> {
      SQLite::Statement rows(db_, std::string(select_task) + "WHERE t.state < ? ORDER BY t.id");
      rows.bind(1, static_cast<int>(TaskState::succeeded));
      return all_tasks(rows);
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
      std::string sql = std::string(select_brief) + "WHERE 1";
      if (query.state) sql += " AND t.state = " + std::to_string(static_cast<int>(*query.state));
      if (query.capability) sql += " AND s.capability = :capability";
      if (query.batch) sql += " AND s.batch = :batch";
      if (query.before) sql += " AND t.id < :before";
      sql += " ORDER BY t.id DESC LIMIT " + std::to_string(query.limit);
      const std::lock_guard lock(reading_);
      SQLite::Statement rows(*reader_, sql);
      if (query.capability) rows.bind(":capability", query.capability->str());
      const auto bind_bytes = [&](const char* name, const Ulid& id) {
        const std::string bytes = to_bytes(id);
        rows.bind(name, bytes.data(), static_cast<int>(bytes.size()));
      };
      if (query.batch) bind_bytes(":batch", *query.batch);
      if (query.before) bind_bytes(":before", *query.before);
      return all_tasks(rows);
    });
  }

  Result<std::optional<BatchRecord>> batch(const BatchId& id) override {
    return guarded("reading batch " + id.str(), [&]() -> Result<std::optional<BatchRecord>> {
      const std::lock_guard lock(reading_);
      SQLite::Statement row(*reader_, "SELECT * FROM batches WHERE id = ?");
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
      SQLite::Statement row(*reader_, std::string(select_task) + "WHERE s.submitter = ? AND s.idempotency_key = ?");
      row.bind(1, submitter);
      row.bind(2, key);
      if (!row.executeStep()) return std::optional<TaskRecord>{};
      return std::optional(read_task(row));
    });
  }

  Result<std::optional<BatchRecord>> batch_by_key(const std::string& submitter, const std::string& key) override {
    return guarded("looking for an idempotency key", [&]() -> Result<std::optional<BatchRecord>> {
      const std::lock_guard lock(reading_);
      SQLite::Statement row(*reader_, "SELECT * FROM batches WHERE submitter = ? AND idempotency_key = ?");
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
  void prepare() {
    const int found = db_.execAndGet("PRAGMA user_version").getInt();
    if (found > schema_version) {
      throw SQLite::Exception("it was written by a newer edgefleet (schema " + std::to_string(found) +
                              "; this one knows up to " + std::to_string(schema_version) + "); install that version");
    }
    db_.exec("PRAGMA journal_mode = WAL");
    db_.exec("PRAGMA synchronous = FULL");
    db_.exec("PRAGMA wal_autocheckpoint = 4000");
    db_.exec("PRAGMA journal_size_limit = 67108864");
    if (found == 0) {
      SQLite::Transaction transaction(db_);
      db_.exec(schema);
      db_.exec("PRAGMA user_version = " + std::to_string(schema_version));
      transaction.commit();
    }
  }

  static std::vector<TaskRecord> all_tasks(SQLite::Statement& rows) {
    std::vector<TaskRecord> all;
    while (rows.executeStep()) all.push_back(read_task(rows));
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

Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& directory) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure) return Error{"data directory " + directory + " cannot be made: " + failure.message()};
  auto lock = std::make_unique<DirectoryLock>();
  if (!lock->take(directory + "/lock")) {
    return Error{"data directory " + directory +
                 " cannot be locked: another coordinator runs on it, or it is not ours to write"};
  }
  const std::string path = directory + "/edgefleet.db";
  return guarded("opening " + path, [&]() -> Result<std::unique_ptr<Store>> {
    return std::unique_ptr<Store>(std::make_unique<SqliteStore>(path, std::move(lock)));
  });
}

}  // namespace edgefleet::coordinator
