// Who may use the fleet: accesses and the names that are taken, in DIR/access.db. Any thread. Lookups are in memory;
// changes are on the disk when they return.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/core/result.hpp"
#include "coordinator/access/access.hpp"

namespace SQLite {
class Database;
}

namespace edgefleet::coordinator {

struct NewKey {
  std::string name;
  std::string key;  // shown once
};

struct AuditEntry {
  WallTime at;
  std::string who;    // an access, or "setup"
  std::string what;   // "access.create"
  std::string about;  // the object's name, and what is worth telling
};

class Registry {
 public:
  static constexpr std::size_t most_accesses = 10'000;
  static constexpr std::size_t most_audit_entries = 100'000;

  // Opens DIR/access.db, and makes it if it is absent.
  static Result<std::unique_ptr<Registry>> open(const std::string& directory);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  Registry(Registry&&) = delete;
  Registry& operator=(Registry&&) = delete;
  ~Registry();

  // Errors: invalid (not a name, a limit that is none), conflict (the name is taken), busy (too many).
  Result<NewKey> create_access(const std::string& who, const std::string& name, Role role, AccessLimits limits);
  // A new key at once; the old one is good for `overlap` more.
  Result<NewKey> rotate_access(const std::string& who, const std::string& name, Duration overlap);
  Status revoke_access(const std::string& who, const std::string& name);
  [[nodiscard]] std::vector<Access> accesses() const;  // by name
  // The access whose key this is, if it has not ended.
  [[nodiscard]] std::optional<Access> find(std::string_view key, WallTime now) const;
  // Whether the access still exists, has not ended, and this key still is one of its keys.
  [[nodiscard]] bool valid(std::string_view key, WallTime now) const { return find(key, now).has_value(); }

  // Names that no access and no agent may have.
  Status reserve(const std::vector<std::string>& names);

  Status audit(const AuditEntry& entry);
  Result<std::vector<AuditEntry>> audited(std::size_t most) const;  // newest first

 private:
  explicit Registry(std::unique_ptr<SQLite::Database> db);
  Status load();
  void index(const Access& access);
  void forget(const Access& access);
  // In one transaction: `change`, and an entry of the audit.
  template <typename Change>
  Status write(const AuditEntry& entry, Change change);
  void insert(const Access& access);

  mutable std::mutex mutex_;
  std::unique_ptr<SQLite::Database> db_;
  std::unordered_map<std::string, Access> by_name_;
  std::unordered_map<std::string, std::string> by_key_id_;  // names; of old keys too
};

}  // namespace edgefleet::coordinator
