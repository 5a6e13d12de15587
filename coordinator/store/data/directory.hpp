// The paths of a data directory, its lock, and its reserve of disk space.
#pragma once

#include <cstdint>
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

// DIR/reserve keeps disk space for two cases on a full disk: a coordinator that starts needs 1 MiB for its first
// writes, and old tasks must be removable. It is a 64th of the file system, at least 1 MiB and at most 16 MiB; it is
// given back 1 MiB at a time, and filled up from half of what is available when there is space again. A failure here is
// not an error.
void free_reserve_if_needed(const std::string& directory);  // before the database is opened
bool keep_reserve(const std::string& directory);  // true: it is whole
bool give_back_reserve(const std::string& directory);  // 1 MiB; false: nothing is left of it
// The size it has when there is space. The database's log must not need more than this to be merged.
std::uint64_t full_reserve(const std::string& directory);

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
