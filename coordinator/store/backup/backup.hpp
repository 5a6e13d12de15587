// Backup and restore of a data directory.
#pragma once

#include <functional>
#include <string>

#include "common/core/result.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

struct BackupReport {
  std::uint64_t tasks = 0;
  std::uint64_t unfinished = 0;
  std::uint64_t artifacts = 0;
  std::uint64_t bytes = 0;      // of the database
  bool with_artifacts = false;  // false: only the database, as one file
};
// Works with or without a running coordinator. `to`: a folder that does not exist yet, or a file name that ends in .db
// for the database without the artifacts. The backup is complete, checked and synced to the disk, or does not exist.
// `add` puts more into the folder, before it counts as complete; not for a single file.
Result<BackupReport> back_up(const std::string& data, const std::string& to, const Tell& tell,
                             const std::function<Status(const std::string& folder)>& add = {});

struct RestoreReport {
  std::uint64_t tasks = 0;
  std::uint64_t held = 0;      // unfinished: wait for the operator
  std::uint64_t unknown = 0;   // at-most-once tasks that an agent had: failed with outcome_unknown
  std::uint64_t artifacts = 0;
  std::string replaced;        // folder of the previous data; empty: there was none
};
// What is restored together with the tasks, under the same lock. Each step is optional.
struct RestoredToo {
  std::function<Status()> prepare;                          // before anything is replaced
  std::function<Status(const std::string& folder)> keep;  // what will be replaced
  std::function<Status()> finish;                           // after the tasks are in place
};
// `data` must not be in use. Its present content is replaced only with `force`, and moved to a folder of its own.
// Unfinished tasks are held until the operator releases them: since the backup they may have been done, or cancelled.
Result<RestoreReport> restore(const std::string& from, const std::string& data, bool force, const Tell& tell,
                              const RestoredToo& too = {});

}  // namespace edgefleet::coordinator
