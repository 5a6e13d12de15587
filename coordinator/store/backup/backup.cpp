#include "coordinator/store/backup/backup.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "common/core/task.hpp"
#include "common/files/durable_write.hpp"
#include "coordinator/store/artifacts/files.hpp"
#include "coordinator/store/sqlite/copy.hpp"
#include "coordinator/store/sqlite/guarded.hpp"
#include "coordinator/store/sqlite/schema.hpp"

namespace edgefleet::coordinator {
namespace fs = std::filesystem;
namespace {

bool names_a_database(const std::string& path) { return fs::path(path).extension() == ".db"; }

// Makes the copy a single file without a log, readable from any medium, and checks it.
Result<BackupReport> finish_copy(const std::string& path) {
  return guarded("checking the copy " + path, [&]() -> Result<BackupReport> {
    SQLite::Database db(path, SQLite::OPEN_READWRITE);
    if (auto version = read_schema_version(db, path); !version) return version.error();
    db.exec("PRAGMA journal_mode = DELETE");
    const std::string found = db.execAndGet("PRAGMA quick_check(1)").getString();
    if (found != "ok") {
      return Error{"the database is damaged (" + found +
                   "), so a backup of it would be damaged too; run `edgefleet-coordinator check` for details"};
    }
    BackupReport report;
    report.tasks = static_cast<std::uint64_t>(db.execAndGet("SELECT count(*) FROM tasks").getInt64());
    const std::string unfinished =
        "SELECT count(*) FROM tasks WHERE state < " + std::to_string(static_cast<int>(TaskState::succeeded));
    report.unfinished = static_cast<std::uint64_t>(db.execAndGet(unfinished).getInt64());
    report.bytes = fs::file_size(path);
    return report;
  });
}

Result<BackupReport> copy_checked(const std::string& data, const std::string& to, const Tell& tell) {
  const std::string path = database_path(data);
  std::error_code failure;
  if (!fs::exists(path, failure)) {
    return Error{"there is no database in " + data + "; name the data directory of a coordinator with --data",
                 ErrorKind::not_found};
  }
  return guarded("reading " + path, [&]() -> Result<BackupReport> {
    SQLite::Database db(path, SQLite::OPEN_READONLY, 5000);
    if (auto copied = copy_database(db, to, tell); !copied) return copied.error();
    return finish_copy(to);
  });
}

Status sync_file_system_of(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool done = fd >= 0 && syncfs(fd) == 0;
  if (fd >= 0) close(fd);
  return done ? success() : Status(Error{folder + " cannot be written to the disk"});
}

// The database first: the artifacts that it names already exist, and a file named by its content never changes.
Result<BackupReport> fill_folder(const std::string& data, const std::string& folder, const Tell& tell,
                                 const std::function<Status(const std::string&)>& add) {
  auto report = copy_checked(data, database_path(folder), tell);
  if (!report) return report;
  const auto taken = take_artifacts(artifacts_path(data), artifacts_path(folder), tell);
  if (!taken) return taken.error();
  report->artifacts = taken->files;
  report->with_artifacts = true;
  if (auto added = add ? add(folder) : success(); !added) return added.error();
  if (auto synced = sync_file_system_of(folder); !synced) return synced.error();
  return report;
}

}  // namespace

Result<BackupReport> back_up(const std::string& data, const std::string& to, const Tell& tell,
                             const std::function<Status(const std::string& folder)>& add) {
  std::string target = to;
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  std::error_code failure;
  if (fs::exists(target, failure) && !(fs::is_directory(target, failure) && fs::is_empty(target, failure))) {
    return Error{target + " already exists; choose a new name for the backup", ErrorKind::conflict};
  }
  if (names_a_database(target)) {
    const std::string partial = target + ".unchecked";
    auto report = copy_checked(data, partial, tell);
    auto done = report ? rename_durably(partial, target) : Status(report.error());
    if (!done) fs::remove(partial, failure);
    if (!done) return done.error();
    return report;
  }
  const std::string partial = target + ".partial";
  fs::remove_all(partial, failure);  // left by an interrupted backup
  fs::create_directories(partial, failure);
  if (failure) return Error{partial + " cannot be created: " + failure.message()};
  auto report = fill_folder(data, partial, tell, add);
  auto done = report ? rename_durably(partial, target) : Status(report.error());
  if (!done) fs::remove_all(partial, failure);
  if (!done) return done.error();
  return report;
}

}  // namespace edgefleet::coordinator
