#include "coordinator/store/sqlite/copy.hpp"

#include <SQLiteCpp/Backup.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

#include "common/core/counts.hpp"
#include "common/files/durable_write.hpp"
#include "coordinator/store/sqlite/guarded.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr int pages_at_once = 1024;

void copy_pages(SQLite::Database& from, const std::string& to, const Tell& tell) {
  // One view of the source for the whole copy: without it, every commit of the coordinator would restart the copy.
  // A reader does not block writers (WAL).
  SQLite::Transaction view(from);
  from.execAndGet("SELECT count(*) FROM sqlite_master");
  SQLite::Database target(to, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  target.exec("PRAGMA synchronous = OFF");  // synced once, below
  SQLite::Backup backup(target, from);
  Progress progress(tell);
  while (backup.executeStep(pages_at_once) != SQLITE_DONE) {
    progress.at([&] {
      const int total = std::max(backup.getTotalPageCount(), 1);
      const int done = total - backup.getRemainingPageCount();
      return "database: " + std::to_string(100LL * done / total) + " % of " +
             show_bytes(static_cast<std::uint64_t>(total) * 4096U);
    });
  }
}

void remove_all_of(const std::string& database) {
  for (const char* suffix : {"", "-journal", "-wal", "-shm"}) std::remove((database + suffix).c_str());
}

}  // namespace

Status copy_database(SQLite::Database& from, const std::string& to, const Tell& tell) {
  const std::string partial = to + ".partial";
  remove_all_of(partial);
  auto copied = guarded("copying the database to " + to, [&]() -> Status {
    copy_pages(from, partial, tell);
    return success();
  });
  if (copied) copied = sync_file(partial);
  if (copied) copied = rename_durably(partial, to);
  if (!copied) remove_all_of(partial);
  return copied;
}

}  // namespace edgefleet::coordinator
