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
  Role role = Role::observe;
  std::optional<WallTime> expires{};
};

class Registry {
 public:
  static constexpr std::size_t most_accesses = 10'000;
  static constexpr std::size_t most_mqtt_accesses = 20;  // of one access
  static constexpr Duration mqtt_access_life = std::chrono::hours(1);

  // Reads all accesses. The database outlives it.
  static Result<std::unique_ptr<Registry>> open(AccessDatabase& database);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  Registry(Registry&&) = delete;
  Registry& operator=(Registry&&) = delete;
  ~Registry() = default;

  // `again`: the name may be that of an access that has ended, whose tasks and files the new one sees.
  // Errors: invalid (not a name, a limit that is none), conflict (the name is taken, or was used), busy (too many).
  Result<NewKey> create_access(const std::string& who, const std::string& name, Role role, AccessLimits limits,
                               bool again = false);
  // For one program at the broker, since two with one name would end each other's session; it ends after
  // `mqtt_access_life`. Errors: not_found (no such owner), busy (it has `most_mqtt_accesses`).
  Result<NewKey> create_mqtt_access(const std::string& owner);
  // A new key at once; the old one is good for `overlap` more, and so are the accesses for the broker that it has made.
  Result<NewKey> rotate_access(const std::string& who, const std::string& name, Duration overlap);
  // With the accesses for the broker that it has made. Errors: not_found, conflict (afterwards no access without an end
  // would have the role admin, so nobody could make another one).
  Status revoke_access(const std::string& who, const std::string& name);
  // Those whose key is on the list, from a time after the data that was restored. Returns how many they were.
  Result<std::size_t> unite(const pki::RevocationList& list);
  // Those that have expired before `before`. Returns how many they were.
  Result<std::size_t> remove_expired(WallTime before);
  [[nodiscard]] std::vector<Access> accesses() const;  // by name
  [[nodiscard]] std::optional<Access> named(const std::string& name) const;
  [[nodiscard]] bool has_ended_between(WallTime after, WallTime until) const;  // one of them, by its own end
  // Whether the access exists, has not ended, and this is the id of one of its keys.
  [[nodiscard]] bool has_key(const std::string& name, const std::string& key_id, WallTime now) const;
  // The access, if it has not ended, as whose the client of this name at the broker acts.
  [[nodiscard]] std::optional<Access> owner_of(const std::string& name, WallTime now) const;
  // The access whose key this is, if it has not ended.
  [[nodiscard]] std::optional<Access> find(std::string_view key, WallTime now) const;

  [[nodiscard]] AccessDatabase& database() const { return database_; }
  // Within a change of the database; one of the same name is replaced.
  static void insert(SQLite::Database& db, const Access& access);
  static void remove(SQLite::Database& db, const std::string& name);

 private:
  explicit Registry(AccessDatabase& database) : database_(database) {}
  Status load();
  // What one change of the accesses does: to one access and to those it has made for the broker.
  struct Change {
    Access before;
    std::optional<Access> after;  // no value: it is removed
  };
  [[nodiscard]] std::vector<Access> made_by(const std::string& owner) const;
  Result<NewKey> add(const std::string& who, Access access, bool again);
  [[nodiscard]] bool is_last_admin(const Access& access, WallTime now) const;
  Status end_access(const std::string& who, const std::string& name);
  Status carry_out(const AuditEntry& entry, const std::vector<Change>& changes);
  // In one moment for those who look up; nullptr: there was, or will be, none.
  void replace(const Access* before, const Access* after);

  AccessDatabase& database_;
  std::mutex changing_;  // one change at a time, over the database and the maps
  mutable std::mutex mutex_;  // of the maps, for moments only
  std::unordered_map<std::string, Access> by_name_;
  std::unordered_map<std::string, std::string> by_key_id_;  // names; of old keys too
};

}  // namespace edgefleet::coordinator
