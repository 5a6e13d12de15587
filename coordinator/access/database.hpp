// DIR/access.db: who may use the fleet, which machines are its agents, and the audit. Accesses, agents and reserved
// names are one namespace, because each is a client id at the broker.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/time.hpp"
#include "coordinator/access/refusals.hpp"

namespace SQLite {
class Database;
}

namespace edgefleet::coordinator {

// Who acts in the audit besides accesses and agents, so nobody may have these names.
namespace actor {
inline constexpr std::string_view setup = "setup";
inline constexpr std::string_view restore = "restore";
inline constexpr std::string_view expiry = "expiry";
inline constexpr std::string_view others = "others";  // refusals that are too many to be named
inline constexpr std::string_view join_token = "join-token";
}  // namespace actor

struct AuditEntry {
  WallTime at;
  std::string who;    // an access, an agent, the coordinator, or an `actor`
  std::string what;   // "access.create"
  std::string about;  // the object's name, and what is worth telling
  bool of_machine = false;  // done by a machine, as often as it likes
};

// Any thread; changes are on the disk when a call returns. What uses the database keeps it alive.
class AccessDatabase {
 public:
  static constexpr std::size_t most_audit_entries = 100'000;
  // Beside them, so that machines and a flood of refusals remove no entry of a person.
  static constexpr std::size_t most_machine_entries = 20'000;
  static constexpr std::size_t most_refusals = 20'000;

  // Makes the file if it is absent.
  static Result<std::unique_ptr<AccessDatabase>> open(const std::string& directory);
  AccessDatabase(const AccessDatabase&) = delete;
  AccessDatabase& operator=(const AccessDatabase&) = delete;
  AccessDatabase(AccessDatabase&&) = delete;
  AccessDatabase& operator=(AccessDatabase&&) = delete;
  ~AccessDatabase();

  // One transaction: `change`, which returns a Status and may throw SQLite's exceptions, and the entry, which it may
  // complete. An error of `change` undoes it.
  template <typename Change>
  Status write(AuditEntry entry, Change change);
  // Without a change of the database's own rows.
  template <typename Read>
  auto read(const std::string& what, Read read_rows) const -> decltype(read_rows(std::declval<SQLite::Database&>()));

  // Names that no access and no agent may have.
  Status reserve(const std::vector<std::string>& names);
  // Within a change. Error of kind conflict: the name is taken.
  static Status take_name(SQLite::Database& db, const std::string& name, std::string_view kind);
  static bool is_taken(SQLite::Database& db, const std::string& name);
  static void free_name(SQLite::Database& db, const std::string& name);

  Status audit(const AuditEntry& entry);
  Status write_refusals(WallTime at, const std::vector<Refusal>& refused);
  // Newest first; refusals as `what` = "refused", with how many there were.
  Result<std::vector<AuditEntry>> audited(std::size_t most) const;

 private:
  explicit AccessDatabase(std::unique_ptr<SQLite::Database> db);
  static void insert(SQLite::Database& db, const AuditEntry& entry);

  mutable std::mutex mutex_;
  std::unique_ptr<SQLite::Database> db_;
};

}  // namespace edgefleet::coordinator
