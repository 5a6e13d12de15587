// Puts a copy of a fleet back into a data directory, so that nobody who was revoked after the copy is let in again.
//
//   DIR/restoring/   while it exists, a restore is not finished: no coordinator and no setup works on DIR, and
//                    `edgefleet-coordinator restore` is run again. It has all that is restored, and what is known of
//                    revocations, so a kill at any time loses neither.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "coordinator/access/fleet_copy.hpp"

namespace edgefleet::coordinator {

struct FleetRestoreReport {
  std::string fleet;
  std::int64_t crl_number = 0;              // of the next list of revoked certificates, above all that were found
  std::vector<std::string> sources;         // of revocations, besides the backup: files
  std::vector<std::string> notes;           // sources that cannot be read, and what else must be known
  std::vector<std::string> agents_removed;  // names: revoked since
  std::vector<std::string> accesses_removed;  // revoked since, or with a new key that is not known
  std::vector<std::string> waiting;         // agents that were enrolled since, and wait for a word
};

// Whether DIR/restoring exists.
bool restore_unfinished(const std::string& directory);
Error unfinished_restore(const std::string& directory);  // the refusal

// Makes DIR/restoring: the copy, with what is revoked in it, in the present data of the directory, in unfinished and
// earlier restores of it, and in the list of the broker's folders. The caller holds the directory's lock. Nothing else
// is changed.
Result<FleetRestoreReport> prepare_fleet(const FleetCopy& copy, const std::string& directory);
// Copies the files that will be replaced to `folder`, which is then one to restore from.
Status keep_replaced_fleet(const std::string& directory, const std::string& folder);
// DIR/restoring takes its place, and is gone.
Status finish_fleet(const std::string& directory);
// What a restore has left that was killed before it has changed anything, or after it was finished.
Status remove_unused_restores(const std::string& directory);

}  // namespace edgefleet::coordinator
