// Who may use the fleet: the accesses of people and programs. Any thread. Lookups are in memory and never wait for a
// disk; changes are on the disk when they return.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/core/result.hpp"
#include "common/pki/revocation.hpp"
#include "coordinator/access/access.hpp"
#include "coordinator/access/database.hpp"

namespace edgefleet::coordinator {

struct NewKey {
  std::string name;
  std::string key;  // shown once
};

class Registry {
 public:
  static constexpr std::size_t most_accesses = 10'000;

  // Reads all accesses. The database outlives it.
  static Result<std::unique_ptr<Registry>> open(AccessDatabase& database);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  Registry(Registry&&) = delete;
  Registry& operator=(Registry&&) = delete;
  ~Registry() = default;

  // Errors: invalid (not a name, a limit that is none), conflict (the name is taken), busy (too many).
  Result<NewKey> create_access(const std::string& who, const std::string& name, Role role, AccessLimits limits);
  // A new key at once; the old one is good for `overlap` more.
  Result<NewKey> rotate_access(const std::string& who, const std::string& name, Duration overlap);
  Status revoke_access(const std::string& who, const std::string& name);
  // Those whose key is on the list, from a time after the data that was restored. Returns how many they were.
  Result<std::size_t> unite(const pki::RevocationList& list);
  // Those that have expired before `before`. Returns how many they were.
  Result<std::size_t> remove_expired(WallTime before);
  [[nodiscard]] std::vector<Access> accesses() const;  // by name
  [[nodiscard]] std::optional<Access> named(const std::string& name) const;
  [[nodiscard]] bool has_ended_between(WallTime after, WallTime until) const;  // one of them, by its own end
  [[nodiscard]] bool exists(const std::string& name, WallTime now) const;  // and has not ended
  // The access whose key this is, if it has not ended.
  [[nodiscard]] std::optional<Access> find(std::string_view key, WallTime now) const;
  // Whether the access still exists, has not ended, and this key still is one of its keys.
  [[nodiscard]] bool valid(std::string_view key, WallTime now) const { return find(key, now).has_value(); }

  [[nodiscard]] AccessDatabase& database() const { return database_; }
  // Within a change of the database; one of the same name is replaced.
  static void insert(SQLite::Database& db, const Access& access);

 private:
  explicit Registry(AccessDatabase& database) : database_(database) {}
  Status load();
  // In one moment for those who look up; nullptr: there was, or will be, none.
  void replace(const Access* before, const Access* after);

  AccessDatabase& database_;
  std::mutex changing_;  // one change at a time, over the database and the maps
  mutable std::mutex mutex_;  // of the maps, for moments only
  std::unordered_map<std::string, Access> by_name_;
  std::unordered_map<std::string, std::string> by_key_id_;  // names; of old keys too
};

}  // namespace edgefleet::coordinator
