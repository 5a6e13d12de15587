// The paths of a data directory, its lock, and its reserve of disk space.
#pragma once

#include <functional>
#include <string>

#include "common/core/result.hpp"
#include "common/core/time.hpp"
#include "common/files/folder.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::coordinator {

inline std::string database_path(const std::string& directory) { return directory + "/edgefleet.db"; }
// The database of an unfinished restore.
inline std::string restoring_path(const std::string& directory) { return database_path(directory) + ".restoring"; }
inline std::string artifacts_path(const std::string& directory) { return directory + "/artifacts"; }

// A process that changes a data directory holds its lock for that time.
class DirectoryLock {
 public:
  // Creates the directory if it is absent; refuses one that others could have prepared or can change.
  Status take(const std::string& directory);

 private:
  FolderLock lock_;
};

// Refuses a directory in which a coordinator has run and whose database is now empty, for example after a power cut or
// on a worn card: SQLite would take it for a new database and discard its log.
Status refuse_emptied_database(const std::string& directory);

// DIR/reserve, 1 MiB: space for the first writes of a coordinator that starts on a full disk, so that it can run,
// refuse new tasks, and record results once there is space. Removed before the database is opened if it is needed,
// created when there is enough space. A failure here is not an error.
void free_reserve_if_needed(const std::string& directory);
void keep_reserve(const std::string& directory);

// Receives progress messages of long operations.
using Tell = std::function<void(const std::string&)>;

// Reports every two seconds, so that short operations report nothing.
class Progress {
 public:
  explicit Progress(Tell tell) : tell_(std::move(tell)), last_(monotonic_now()) {}
  template <typename Text>
  void at(Text text) {
    if (!tell_ || monotonic_now() - last_ < std::chrono::seconds(2)) return;
    tell_(text());
    last_ = monotonic_now();
  }

 private:
  Tell tell_;
  Time last_;
};

}  // namespace edgefleet::coordinator
