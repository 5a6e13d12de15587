// What lies where in a data directory, and who has it.
#pragma once

#include <functional>
#include <string>

#include "common/core/result.hpp"
#include "common/core/time.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::coordinator {

inline std::string database_path(const std::string& directory) { return directory + "/edgefleet.db"; }
// A restore that has not ended yet.
inline std::string restoring_path(const std::string& directory) { return database_path(directory) + ".restoring"; }
inline std::string artifacts_path(const std::string& directory) { return directory + "/artifacts"; }

// Whoever changes a data directory holds its lock as long as it does.
class DirectoryLock {
 public:
  DirectoryLock() = default;
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  DirectoryLock(DirectoryLock&&) = delete;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();
  Status take(const std::string& directory);

 private:
  int fd_ = -1;
};

// Refuses a directory in which a coordinator has run and whose database is empty now, as a power cut or a worn card
// leaves a file: SQLite would take it for a new one, throw its log away and begin anew.
Status refuse_emptied_database(const std::string& directory);

// DIR/reserve, 1 MiB: room for the first writes of a coordinator that starts on a full disk, so that it is up, refuses
// what is new and records what comes back once there is space. Given up before the database is opened if it is needed,
// made when there is plenty. Never a reason to fail.
void free_reserve_if_needed(const std::string& directory);
void keep_reserve(const std::string& directory);

// Where what takes long says how far it is.
using Tell = std::function<void(const std::string&)>;

// Speaks every two seconds, so that nothing short is told at all.
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
