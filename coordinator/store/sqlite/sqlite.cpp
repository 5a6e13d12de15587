#include "coordinator/store/sqlite/sqlite.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "coordinator/store/sqlite/guarded.hpp"
#include "coordinator/store/sqlite/reader.hpp"
#include "coordinator/store/sqlite/rows.hpp"
#include "coordinator/store/sqlite/schema.hpp"
#include "coordinator/store/sqlite/writer.hpp"

namespace edgefleet::coordinator {
namespace {

using rows::bind_id;
using rows::read_task;

// A pool of connections, each used by one thread at a time.
class Readers {
 public:
  explicit Readers(const std::string& path) {
    for (int n = 0; n < most; ++n) {
      idle_.push_back(std::make_unique<Reader>(
          std::make_shared<SQLite::Database>(path, SQLite::OPEN_READONLY | SQLite::OPEN_NOMUTEX, 5000)));
    }
  }

  std::shared_ptr<Reads> lend() {
    std::unique_lock lock(mutex_);
    returned_.wait(lock, [&] { return !idle_.empty(); });
    std::shared_ptr<Reads> reader(idle_.back().release(), [this](Reads* back) { take_back(back); });
    idle_.pop_back();
    return reader;
  }

 private:
  static constexpr int most = 4;  // each has a cache of up to 2 MiB

  void take_back(Reads* reader) {
    const std::lock_guard lock(mutex_);
    idle_.emplace_back(reader);
    returned_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Reads>> idle_;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(std::string directory, const std::string& path, std::unique_ptr<DirectoryLock> lock)
      : directory_(std::move(directory)),
        lock_(std::move(lock)),
        db_(std::make_shared<SQLite::Database>(
            path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLite::OPEN_NOMUTEX, 5000)) {}

  Status prepare(const std::string& path, const Tell& tell) {
    // This comes first: a file that is refused is not changed.
    if (auto version = read_schema_version(*db_, path); !version) return version.error();
    // A checkpoint writes each changed page once more, so rare checkpoints mean fewer writes. 12 MiB are quickly
    // processed at the next start, and on a full disk the reserve suffices to merge them; on a small file system there
    // are more checkpoints. After a large transaction the log is truncated to this size.
    const auto log_bytes = full_reserve(directory_) / 4 * 3;
    db_->exec("PRAGMA journal_mode = WAL");
    db_->exec("PRAGMA synchronous = FULL");
    db_->exec("PRAGMA wal_autocheckpoint = " + std::to_string(log_bytes / page_bytes));
    db_->exec("PRAGMA journal_size_limit = " + std::to_string(log_bytes));
    // Debian's SQLite overwrites what is removed with zeros. That would write removed tasks to the log once more: much
    // wear, and much space on a full disk. Their pages are used again, and nobody but the owner can read the file.
    db_->exec("PRAGMA secure_delete = FAST");
    if (auto prepared = prepare_schema(*db_, path, tell); !prepared) return prepared;
    writer_ = std::make_unique<Writer>(*db_);
    own_ = std::make_unique<Reader>(db_);
    readers_ = std::make_unique<Readers>(path);
    return success();
  }

  void start() { keep_size(!keep_reserve(directory_)); }

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
    const auto attempt = [&] {
      return written("removing ended tasks",
                     [&]() -> Result<Purged> { return writer_->purge(retention, clock, most); });
    };
    auto purged = attempt();
    // The second attempt finds the log merged, so its space is used again. The others have space for it to grow.
    if (is_full(purged)) purged = attempt();
    while (is_full(purged) && give_back_reserve(directory_)) purged = attempt();
    return purged;
  }

  Result<std::uint64_t> reusable() override {
    return guarded("reading the free pages", [&]() -> Result<std::uint64_t> {
      return static_cast<std::uint64_t>(db_->execAndGet("PRAGMA freelist_count").getInt64()) * page_bytes;
    });
  }

  Result<Reign> reign() override {
    return guarded("reading the last reign", [&]() -> Result<Reign> {
      const auto epoch = db_->execAndGet("SELECT value FROM meta WHERE key = 'epoch'").getInt64();
      const std::string session = db_->execAndGet("SELECT session FROM identity").getString();
      return Reign{static_cast<std::uint64_t>(epoch), SessionId::parse(session).value_or(SessionId{})};
    });
  }

  Result<std::string> identity() override {
    return guarded("reading the identity of the store",
                   [&]() -> Result<std::string> { return db_->execAndGet("SELECT store FROM identity").getString(); });
  }

  Result<std::vector<AgentName>> drained_agents() override {
    return guarded("reading drained agents", [&]() -> Result<std::vector<AgentName>> {
      SQLite::Statement rows(*db_, "SELECT agent FROM drained");
      std::vector<AgentName> all;
      while (rows.executeStep()) {
        if (auto name = AgentName::parse(rows.getColumn(0).getString())) all.push_back(std::move(*name));
      }
      return all;
    });
  }

  Result<std::vector<TokensUsed>> tokens_used() override {
    return guarded("reading the tokens used", [&]() -> Result<std::vector<TokensUsed>> {
      SQLite::Statement row(*db_, "SELECT client, day, tokens FROM tokens_used ORDER BY day, client");
      std::vector<TokensUsed> all;
      while (row.executeStep()) {
        const auto tokens = std::max<std::int64_t>(0, row.getColumn(2).getInt64());
        all.push_back({row.getColumn(0).getString(), row.getColumn(1).getInt64(), static_cast<std::uint64_t>(tokens)});
      }
      return all;
    });
  }

  Result<Duration> clock() override {
    return guarded("reading the clock", [&]() -> Result<Duration> { return read_clock(); });
  }

  Result<std::vector<TaskId>> held() override {
    return guarded("reading held tasks", [&]() -> Result<std::vector<TaskId>> {
      SQLite::Statement row(*db_, "SELECT id FROM held");
      std::vector<TaskId> all;
      while (row.executeStep()) all.emplace_back(rows::from_bytes(row.getColumn(0)));
      return all;
    });
  }

  Result<std::vector<TaskRecord>> unfinished(const TaskId& after, std::size_t limit) override {
    return guarded("reading unfinished tasks", [&]() -> Result<std::vector<TaskRecord>> {
      const Duration clock = read_clock();
      const auto remaining = [&](const SQLite::Column& column) -> std::optional<Duration> {
        if (column.isNull()) return std::nullopt;
        return std::max(Duration{0}, std::chrono::milliseconds(column.getInt64()) - clock);
      };
      SQLite::Statement row(*db_, rows::select_task(", t.due_at_ms, t.expires_at_ms") +
                                      "WHERE t.id > ? AND t.state < ? ORDER BY t.id LIMIT ?");
      bind_id(row, 1, after);
      row.bind(2, static_cast<int>(TaskState::succeeded));
      row.bind(3, static_cast<std::int64_t>(limit));
      std::vector<TaskRecord> all;
      while (row.executeStep()) {
        all.push_back(read_task(row));
        all.back().due_in = remaining(row.getColumn(rows::task_columns));
        all.back().expires_in = remaining(row.getColumn(rows::task_columns + 1));
      }
      return all;
    });
  }

  Reads& reads() override { return *own_; }
  std::shared_ptr<Reads> reader() override { return readers_->lend(); }

 private:
  Duration read_clock() {
    return std::chrono::milliseconds(db_->execAndGet("SELECT value FROM meta WHERE key = 'clock_ms'").getInt64());
  }

  template <typename Value>
  static bool is_full(const Result<Value>& result) {
    return !result && result.error().kind == ErrorKind::full;
  }

  template <typename Call>
  auto written(const std::string& what, Call call) -> decltype(call()) {
    if (keeps_its_size_) keep_size(!keep_reserve(directory_));
    auto result = guarded(what, call);
    if (result) return result;
    writer_->reset();
    if (result.error().kind == ErrorKind::full) {
      keep_size(true);
      while (merge_log() == SQLITE_FULL && give_back_reserve(directory_)) {
      }
    }
    return result;
  }

  // While the reserve is not whole, the database gets no new pages: only those that removed tasks have left are used.
  // Otherwise the log could contain more new pages than there is space for when it is merged, and a log that cannot be
  // merged cannot be used again: then nothing could be written any more, not even a removal.
  void keep_size(bool keep) {
    if (keeps_its_size_ == keep) return;
    keeps_its_size_ = keep;
    db_->tryExec(keep ? "PRAGMA max_page_count = 1" : "PRAGMA max_page_count = 1073741823");  // 1: as many as there are
  }

  int merge_log() { return db_->tryExec("PRAGMA wal_checkpoint(PASSIVE)"); }

  static constexpr std::uint64_t page_bytes = 4096;

  const std::string directory_;
  bool keeps_its_size_ = false;

  std::unique_ptr<DirectoryLock> lock_;
  // No mutexes in SQLite: the loop owns this connection, other threads borrow theirs from the pool.
  std::shared_ptr<SQLite::Database> db_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Reader> own_;
  std::unique_ptr<Readers> readers_;
};

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& directory, const Tell& tell) {
  std::error_code failure;
  auto lock = std::make_unique<DirectoryLock>();
  if (auto taken = lock->take(directory); !taken) return taken.error();
  const std::string path = database_path(directory);
  if (std::filesystem::exists(restoring_path(directory), failure) && !std::filesystem::exists(path, failure)) {
    return Error{
        "data directory " + directory + " is only partly restored: `edgefleet-coordinator restore` was interrupted. " +
        "Run it again with --force; to start with an empty database instead, remove " + restoring_path(directory)};
  }
  if (auto whole = refuse_emptied_database(directory); !whole) return whole.error();
  free_reserve_if_needed(directory);
  return guarded("opening " + path, [&]() -> Result<std::unique_ptr<Store>> {
    auto store = std::make_unique<SqliteStore>(directory, path, std::move(lock));
    if (auto prepared = store->prepare(path, tell); !prepared) return prepared.error();
    store->start();
    return std::unique_ptr<Store>(std::move(store));
  });
}

}  // namespace edgefleet::coordinator
