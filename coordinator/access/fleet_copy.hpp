// What a fleet is besides its tasks: its certification authority, its accesses and agents, and how it was set up. This
// is what a backup has of it, sealed for the fleet's recovery key, because whoever reads it is the fleet's master.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/pki/recovery_key.hpp"

namespace edgefleet::coordinator {

struct FleetCopy {
  std::string directory;       // the data directory that it is of, absolute
  std::string setup;           // setup.json, and so on: the contents of the files
  std::string ca_certificate;
  std::string ca_key;
  std::string recovery_key;    // the public half; empty: there is none
  std::string accesses;        // access.db, one consistent state
};

// One consistent copy, in memory, also while a coordinator works on the directory. Error: something is missing.
Result<FleetCopy> copy_fleet(const std::string& directory);
std::string encode(const FleetCopy& copy);
// Only what encode() makes: the whole of it, with files that fit together.
Result<FleetCopy> decode_fleet_copy(std::string_view text);

// DIR/recovery.pub. No value: this fleet has no recovery key.
std::string recovery_key_path(const std::string& directory);
Result<std::optional<pki::RecoveryPublicKey>> read_recovery_key(const std::string& directory);
Status write_recovery_key(const std::string& directory, const pki::RecoveryPublicKey& key);

// The file of a backup's folder.
std::string sealed_path(const std::string& folder);

}  // namespace edgefleet::coordinator
