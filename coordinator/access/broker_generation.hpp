// Puts a closed broker's files on the disk: all of them are one generation, a new folder, and one link says which one
// counts. mosquitto/watch.sh sees the link and lets Mosquitto read the files, after a trial.
//
//   FOLDER/generations/000007/   the files, SHA256SUMS of them, and `id`: "000007-" and a digest of SHA256SUMS
//   FOLDER/current               a link to the newest one
//   FOLDER/stop                  while it exists, the watcher lets no broker run
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "common/core/result.hpp"

namespace edgefleet::coordinator {

struct BrokerTexts {
  std::string configuration;
  std::string agents_acl;
  std::string people_acl;
  std::string passwords;
  std::string authority;    // PEM, as the following
  std::string revoked;      // the list of revoked certificates
  std::string certificate;  // of the broker, with its chain
  std::string key;
};

struct BrokerFolder {
  std::string path;  // exists; 0750, and setgid if the broker is another user
  std::optional<gid_t> group;  // the broker's; unset: as the folder's setgid bit says
  std::string running{};  // the id of the generation that a broker works with; a new one gets a higher number
};

inline constexpr int generations_kept = 3;

// Returns the new generation's id. One process at a time. Each file and folder is on the disk before the link is
// renamed, so that after a kill or a power cut at any time the link leads to the old or to the new generation, whole.
// What an interrupted call has left is removed by the next one. `between` is called before each step, for tests.
Result<std::string> write_generation(const BrokerFolder& folder, const BrokerTexts& texts,
                                     const std::function<void()>& between = {});

// The id of the generation that counts; empty: there is none.
std::string current_generation(const std::string& folder);
// Whether it has these texts, by its id.
bool has_generation(const std::string& folder, const BrokerTexts& texts);

// With a file `stop` the watcher ends the broker within a second, and starts none.
Status stop_broker(const BrokerFolder& folder, const std::string& why);
Status release_broker(const std::string& folder);

}  // namespace edgefleet::coordinator
