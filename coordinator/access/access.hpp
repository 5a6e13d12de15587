// An access: what a person or a program has to use the fleet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/core/time.hpp"
#include "coordinator/access/role.hpp"

namespace edgefleet::coordinator {

struct AccessLimits {
  std::vector<std::string> models;        // patterns with *; empty: all
  std::vector<std::string> capabilities;  // the same
  std::int64_t per_minute = 0;            // tasks; 0: no limit
  std::optional<WallTime> expires;
  std::int64_t tokens_per_day = 0;  // of questions to models and their answers; 0: no limit
  friend bool operator==(const AccessLimits&, const AccessLimits&) = default;
};

struct Access {
  std::string name;
  Role role = Role::observe;
  AccessLimits limits;
  WallTime created;
  std::string key_id;
  std::string digest;    // of its key
  std::string password;  // its line's end in the broker's password file (broker_files.hpp)
  // The key before a rotation, until its time is over.
  std::string old_key_id{};
  std::string old_digest{};
  WallTime old_until{};
  // Not empty: it is for one program at the broker only, and acts as that access, which made it and has these rights.
  std::string owner{};

  [[nodiscard]] bool ended(WallTime now) const { return limits.expires && *limits.expires <= now; }
  [[nodiscard]] const std::string& client() const { return owner.empty() ? name : owner; }
};

}  // namespace edgefleet::coordinator
