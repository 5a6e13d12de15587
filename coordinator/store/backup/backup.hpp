// A copy of a data directory to keep elsewhere, and the way back.
#pragma once

#include <string>

#include "common/core/result.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

struct BackupReport {
  std::uint64_t tasks = 0;
  std::uint64_t unfinished = 0;
  std::uint64_t artifacts = 0;
  std::uint64_t bytes = 0;      // of the database
  bool with_artifacts = false;  // false: a file of the database alone
};
// While a coordinator runs or not. `to`: a folder that does not exist yet, or a file that ends in .db for the database
// without the artifacts. It is there as a whole, checked and on the disk, or not at all.
Result<BackupReport> back_up(const std::string& data, const std::string& to, const Tell& tell);

struct RestoreReport {
  std::uint64_t tasks = 0;
  std::uint64_t held = 0;      // unfinished: wait for the operator
  std::uint64_t unknown = 0;   // at most once, and an agent had them: failed, outcome_unknown
  std::uint64_t artifacts = 0;
  std::string replaced;        // where what was there before is kept; empty: nothing was
};
// `data` must not be in use; what is in it is kept aside, and only replaced with `force`. Unfinished tasks are held
// until the operator releases them: since the backup they may have been done, or cancelled.
Result<RestoreReport> restore(const std::string& from, const std::string& data, bool force, const Tell& tell);

}  // namespace edgefleet::coordinator
