#include "coordinator/access/registry.hpp"

#include <algorithm>

#include "common/core/ids.hpp"
#include "common/pki/dates.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/patterns.hpp"
#include "coordinator/access/revoked.hpp"
#include "coordinator/access/secret.hpp"
#include "coordinator/access/transaction.hpp"

namespace edgefleet::coordinator {
namespace {

Status check(const std::string& name, const AccessLimits& limits, WallTime now) {
  if (!valid_name(name)) return invalid("\"" + name.substr(0, 63) + "\" is no valid name: " + std::string(name_rule));
  // The broker's files have no such name, so none could be written.
  if (reserved_name(name)) return invalid("the name " + name + " is reserved; choose another one");
  if (auto good = check_patterns(limits.models, "models"); !good) return good;
  if (auto good = check_patterns(limits.capabilities, "capabilities"); !good) return good;
  if (limits.per_minute < 0 || limits.tokens_per_day < 0) return invalid("a limit cannot be negative");
  if (limits.expires && *limits.expires <= now) return invalid("it would have expired already");
  return success();
}

Access read_access(SQLite::Statement& row) {
  Access access;
  access.name = row.getColumn(0).getString();
  access.role = parse_role(row.getColumn(1).getString()).value_or(Role::observe);
  access.limits.models = patterns_of_lines(row.getColumn(2).getString());
  access.limits.capabilities = patterns_of_lines(row.getColumn(3).getString());
  access.limits.per_minute = row.getColumn(4).getInt64();
  if (!row.getColumn(5).isNull()) access.limits.expires = WallTime{row.getColumn(5).getInt64()};
  access.created = WallTime{row.getColumn(6).getInt64()};
  access.key_id = row.getColumn(7).getString();
  access.digest = row.getColumn(8).getString();
  access.password = row.getColumn(9).getString();
  access.old_key_id = row.getColumn(10).getString();
  access.old_digest = row.getColumn(11).getString();
  access.old_until = WallTime{row.getColumn(12).getInt64()};
  access.limits.tokens_per_day = row.getColumn(13).getInt64();
  return access;
}

Error unknown_access(const std::string& name) {
  return Error{"there is no access named " + name.substr(0, 63), ErrorKind::not_found};
}

// So that no old backup brings it back. One that has ended by itself ends there too.
void end_key(SQLite::Database& db, const Access& access, WallTime now) {
  const auto& expires = access.limits.expires;
  if (expires && *expires <= now) return;
  mark_key_revoked(db, access.key_id, now.unix_ms / 1000, expires ? expires->unix_ms / 1000 + 1 : pki::last_date);
}

// Its digest, and its line in the broker's password file.
Status take_key(Access& access, const Secret& secret) {
  auto password = salted_password(secret.text);
  if (!password) return password.error();
  access.key_id = secret.id;
  access.digest = secret_digest(secret.text);
  access.password = std::move(*password);
  return success();
}

}  // namespace

void Registry::insert(SQLite::Database& db, const Access& access) {
  SQLite::Statement row(
      db,
      "INSERT OR REPLACE INTO accesses (name, role, models, capabilities, per_minute, expires_at, created_at, key_id, "
      "digest, password, old_key_id, old_digest, old_until, tokens_per_day) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  row.bind(1, access.name);
  row.bind(2, std::string(to_string(access.role)));
  row.bind(3, lines_of_patterns(access.limits.models));
  row.bind(4, lines_of_patterns(access.limits.capabilities));
  row.bind(5, access.limits.per_minute);
  access.limits.expires ? row.bind(6, access.limits.expires->unix_ms) : row.bind(6);
  row.bind(7, access.created.unix_ms);
  row.bind(8, access.key_id);
  row.bind(9, access.digest);
  row.bind(10, access.password);
  row.bind(11, access.old_key_id);
  row.bind(12, access.old_digest);
  row.bind(13, access.old_until.unix_ms);
  row.bind(14, access.limits.tokens_per_day);
  row.exec();
}

Result<std::unique_ptr<Registry>> Registry::open(AccessDatabase& database) {
  std::unique_ptr<Registry> registry(new Registry(database));
  if (auto loaded = registry->load(); !loaded) return loaded.error();
  return registry;
}

Status Registry::load() {
  return database_.read("reading the accesses", [&](SQLite::Database& db) -> Status {
    SQLite::Statement rows(
        db,
        "SELECT name, role, models, capabilities, per_minute, expires_at, created_at, key_id, digest, "
        "password, old_key_id, old_digest, old_until, tokens_per_day FROM accesses");
    while (rows.executeStep()) {
      const Access access = read_access(rows);
      replace(nullptr, &access);
    }
    return success();
  });
}

void Registry::replace(const Access* before, const Access* after) {
  const std::lock_guard lock(mutex_);
  if (before != nullptr) {
    by_key_id_.erase(before->key_id);
    by_key_id_.erase(before->old_key_id);
    by_name_.erase(before->name);
  }
  if (after == nullptr) return;
  by_name_[after->name] = *after;
  by_key_id_[after->key_id] = after->name;
  if (!after->old_key_id.empty()) by_key_id_[after->old_key_id] = after->name;
}

Result<NewKey> Registry::create_access(const std::string& who, const std::string& name, Role role,
                                       AccessLimits limits) {
  const WallTime now = wall_now();
  if (auto good = check(name, limits, now); !good) return good.error();
  const Secret secret = make_secret(access_prefix);
  Access access{name, role, std::move(limits), now, {}, {}, {}};
  if (auto keyed = take_key(access, secret); !keyed) return keyed.error();
  const std::lock_guard change(changing_);
  if (accesses().size() >= most_accesses) {
    return Error{"there are " + std::to_string(most_accesses) + " accesses already; revoke some", ErrorKind::busy};
  }
  const Status written = database_.write({now, who, "access.create", name + ", role " + std::string(to_string(role))},
                                         [&](SQLite::Database& db, AuditEntry&) -> Status {
                                           if (auto taken = AccessDatabase::take_name(db, name, "access"); !taken)
                                             return taken;
                                           insert(db, access);
                                           return success();
                                         });
  if (!written) return written.error();
  replace(nullptr, &access);
  return NewKey{name, secret.text};
}

Result<NewKey> Registry::rotate_access(const std::string& who, const std::string& name, Duration overlap) {
  const WallTime now = wall_now();
  const Secret secret = make_secret(access_prefix);
  const std::lock_guard change(changing_);
  const auto before = named(name);
  if (!before) return unknown_access(name);
  Access access = *before;
  access.old_key_id = overlap > Duration{0} ? access.key_id : "";
  access.old_digest = overlap > Duration{0} ? access.digest : "";
  access.old_until = WallTime{now.unix_ms + to_ms(overlap)};
  if (auto keyed = take_key(access, secret); !keyed) return keyed.error();
  const Status written =
      database_.write({now, who, "access.rotate", name}, [&](SQLite::Database& db, AuditEntry&) -> Status {
        insert(db, access);
        end_key(db, *before, now);
        return success();
      });
  if (!written) return written.error();
  replace(&*before, &access);
  return NewKey{name, secret.text};
}

Status Registry::revoke_access(const std::string& who, const std::string& name) {
  const WallTime now = wall_now();
  const std::lock_guard change(changing_);
  const auto before = named(name);
  if (!before) return unknown_access(name);
  Status written = database_.write({now, who, "access.revoke", name}, [&](SQLite::Database& db, AuditEntry&) -> Status {
    SQLite::Statement row(db, "DELETE FROM accesses WHERE name = ?");
    row.bind(1, name);
    row.exec();
    end_key(db, *before, now);
    AccessDatabase::free_name(db, name);
    return success();
  });
  if (!written) return written;
  replace(&*before, nullptr);
  return success();
}

bool Registry::has_ended_between(WallTime after, WallTime until) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(by_name_, [&](const auto& entry) {
    const auto& end = entry.second.limits.expires;
    return end && *end > after && *end <= until;
  });
}

bool Registry::exists(const std::string& name, WallTime now) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  return found != by_name_.end() && !(found->second.limits.expires && *found->second.limits.expires <= now);
}

std::optional<Access> Registry::named(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

Result<std::size_t> Registry::unite(const pki::RevocationList& list) {
  std::size_t removed = 0;
  for (const Access& access : accesses()) {
    if (!list.contains(serial_of_key(access.key_id))) continue;
    if (auto gone = revoke_access("coordinator", access.name); !gone) return gone.error();
    ++removed;
  }
  return removed;
}

Result<std::size_t> Registry::remove_expired(WallTime before) {
  std::size_t removed = 0;
  for (const Access& access : accesses()) {
    if (!access.limits.expires || *access.limits.expires >= before) continue;
    if (auto gone = revoke_access("expiry", access.name); !gone) return gone.error();
    ++removed;
  }
  return removed;
}

std::vector<Access> Registry::accesses() const {
  std::vector<Access> all;
  const std::lock_guard lock(mutex_);
  all.reserve(by_name_.size());
  for (const auto& [name, access] : by_name_) all.push_back(access);
  std::sort(all.begin(), all.end(), [](const Access& a, const Access& b) { return a.name < b.name; });
  return all;
}

std::optional<Access> Registry::find(std::string_view key, WallTime now) const {
  const auto id = secret_id(access_prefix, key);
  if (!id) return std::nullopt;
  const std::string digest = secret_digest(key);
  const std::lock_guard lock(mutex_);
  const auto owner = by_key_id_.find(*id);
  if (owner == by_key_id_.end()) return std::nullopt;
  const Access& access = by_name_.at(owner->second);
  if (access.limits.expires && *access.limits.expires <= now) return std::nullopt;
  const bool old = access.key_id != *id;
  if (old && access.old_until <= now) return std::nullopt;
  if (!same_digest(digest, old ? access.old_digest : access.digest)) return std::nullopt;
  return access;
}

}  // namespace edgefleet::coordinator
