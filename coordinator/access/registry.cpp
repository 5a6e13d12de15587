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
  access.owner = row.getColumn(13).getString();
  access.limits.tokens_per_day = row.getColumn(14).getInt64();
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

// Who gets the name of an access that has ended sees its tasks.
Status check_unused(SQLite::Database& db, const std::string& name) {
  SQLite::Statement former(db, "SELECT 1 FROM former_accesses WHERE name = ?");
  former.bind(1, name);
  if (!former.executeStep()) return success();
  return Error{
      "there was an access named " + name +
          " before; a new one of this name would see its tasks and files. Choose another name, or, if it is for "
          "the same person or program, create it with --again (\"again\": true)",
      ErrorKind::conflict};
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
      "digest, password, old_key_id, old_digest, old_until, owner, tokens_per_day) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
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
  row.bind(14, access.owner);
  row.bind(15, access.limits.tokens_per_day);
  row.exec();
}

void Registry::remove(SQLite::Database& db, const std::string& name) {
  SQLite::Statement former(
      db, "INSERT OR IGNORE INTO former_accesses SELECT name FROM accesses WHERE name = ? AND owner = ''");
  former.bind(1, name);
  former.exec();
  SQLite::Statement row(db, "DELETE FROM accesses WHERE name = ?");
  row.bind(1, name);
  row.exec();
  AccessDatabase::free_name(db, name);
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
        "password, old_key_id, old_digest, old_until, owner, tokens_per_day FROM accesses");
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

// `access` has all but its key. The caller holds `changing_`.
Result<NewKey> Registry::add(const std::string& who, Access access, bool again) {
  const Secret secret = make_secret(access_prefix);
  if (auto keyed = take_key(access, secret); !keyed) return keyed.error();
  if (accesses().size() >= most_accesses) {
    return Error{"there are " + std::to_string(most_accesses) + " accesses already; revoke some", ErrorKind::busy};
  }
  const std::string about = access.name + ", role " + std::string(to_string(access.role));
  const Status written =
      database_.write({access.created, who, "access.create", about}, [&](SQLite::Database& db, AuditEntry&) -> Status {
        if (auto taken = AccessDatabase::take_name(db, access.name, "access"); !taken) return taken;
        if (auto unused = again ? success() : check_unused(db, access.name); !unused) return unused;
        insert(db, access);
        return success();
      });
  if (!written) return written.error();
  replace(nullptr, &access);
  return NewKey{access.name, secret.text, access.role, access.limits.expires};
}

Result<NewKey> Registry::create_access(const std::string& who, const std::string& name, Role role, AccessLimits limits,
                                       bool again) {
  const WallTime now = wall_now();
  if (auto good = check(name, limits, now); !good) return good.error();
  const std::lock_guard change(changing_);
  return add(who, Access{name, role, std::move(limits), now, {}, {}, {}}, again);
}

Result<NewKey> Registry::create_mqtt_access(const std::string& owner) {
  const WallTime now = wall_now();
  const std::lock_guard change(changing_);
  const auto found = named(owner);
  if (!found || found->ended(now) || !found->owner.empty()) return unknown_access(owner);
  const auto made = made_by(owner);
  const auto open = std::ranges::count_if(made, [&](const Access& one) { return !one.ended(now); });
  if (open >= std::ptrdiff_t(most_mqtt_accesses)) {
    return Error{"there are " + std::to_string(most_mqtt_accesses) + " such accesses of " + owner +
                     " already; each ends after an hour",
                 ErrorKind::busy};
  }
  AccessLimits limits = found->limits;
  const WallTime end{now.unix_ms + to_ms(mqtt_access_life)};
  if (!limits.expires || *limits.expires > end) limits.expires = end;
  // The name is for people: whose it is, is its owner.
  constexpr std::string_view infix = "-mqtt-";
  constexpr std::size_t letters = 4;
  const std::string name = owner.substr(0, 63 - infix.size() - letters) + std::string(infix);
  Access access{"", found->role, std::move(limits), now, {}, {}, {}};
  access.owner = owner;
  do {
    access.name = name + make_secret("").id.substr(0, letters);
  } while (named(access.name));
  return add(owner, std::move(access), true);
}

std::vector<Access> Registry::made_by(const std::string& owner) const {
  std::vector<Access> all = accesses();
  std::erase_if(all, [&](const Access& access) { return access.owner != owner; });
  return all;
}

// In one transaction, and for those who look up at once after it.
Status Registry::carry_out(const AuditEntry& entry, const std::vector<Change>& changes) {
  const Status written = database_.write(entry, [&](SQLite::Database& db, AuditEntry&) -> Status {
    for (const auto& [before, after] : changes) {
      after ? insert(db, *after) : remove(db, before.name);
      if (!after || after->key_id != before.key_id) end_key(db, before, entry.at);
    }
    return success();
  });
  if (!written) return written;
  for (const auto& [before, after] : changes) replace(&before, after ? &*after : nullptr);
  return success();
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
  std::vector<Change> changes{{*before, access}};
  for (Access& made : made_by(name)) {  // with the old key, so they end with it
    Change with_it{made, std::nullopt};
    if (overlap > Duration{0}) with_it.after = made;
    if (with_it.after && *made.limits.expires > access.old_until) with_it.after->limits.expires = access.old_until;
    changes.push_back(std::move(with_it));
  }
  if (auto done = carry_out({now, who, "access.rotate", name}, changes); !done) return done.error();
  return NewKey{name, secret.text, access.role, access.limits.expires};
}

// Those that end by themselves and those for the broker do not count.
bool Registry::is_last_admin(const Access& access, WallTime now) const {
  if (access.role != Role::admin || !access.owner.empty() || access.ended(now)) return false;
  const auto all = accesses();
  return std::ranges::none_of(all, [&](const Access& one) {
    return one.name != access.name && one.role == Role::admin && one.owner.empty() && !one.limits.expires;
  });
}

Status Registry::revoke_access(const std::string& who, const std::string& name) {
  const std::lock_guard change(changing_);
  const auto access = named(name);
  if (access && is_last_admin(*access, wall_now())) {
    return Error{"access " + name +
                     " is the last one with the role admin, beside those that end by themselves; create "
                     "another one first",
                 ErrorKind::conflict};
  }
  return end_access(who, name);
}

// The caller holds `changing_`.
Status Registry::end_access(const std::string& who, const std::string& name) {
  const auto before = named(name);
  if (!before) return unknown_access(name);
  std::vector<Change> changes{{*before, std::nullopt}};
  for (Access& made : made_by(name)) changes.push_back({std::move(made), std::nullopt});
  return carry_out({wall_now(), who, "access.revoke", name}, changes);
}

bool Registry::has_ended_between(WallTime after, WallTime until) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(by_name_, [&](const auto& entry) {
    const auto& end = entry.second.limits.expires;
    return end && *end > after && *end <= until;
  });
}

bool Registry::has_key(const std::string& name, const std::string& key_id, WallTime now) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  if (key_id.empty() || found == by_name_.end() || found->second.ended(now)) return false;
  const Access& access = found->second;
  return access.key_id == key_id || (access.old_key_id == key_id && access.old_until > now);
}

std::optional<Access> Registry::owner_of(const std::string& name, WallTime now) const {
  auto access = named(name);
  if (access && !access->ended(now) && !access->owner.empty()) access = named(access->owner);
  return access && !access->ended(now) ? access : std::nullopt;
}

std::optional<Access> Registry::named(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

Result<std::size_t> Registry::unite(const pki::RevocationList& list) {
  std::size_t removed = 0;
  const std::lock_guard change(changing_);
  for (const Access& access : accesses()) {
    if (!list.contains(serial_of_key(access.key_id))) continue;
    if (auto gone = end_access("coordinator", access.name); !gone && gone.error().kind != ErrorKind::not_found) {
      return gone.error();  // otherwise it has ended with its owner
    }
    ++removed;
  }
  return removed;
}

Result<std::size_t> Registry::remove_expired(WallTime before) {
  std::size_t removed = 0;
  const std::lock_guard change(changing_);
  for (const Access& access : accesses()) {
    if (!access.limits.expires || *access.limits.expires >= before) continue;
    if (auto gone = end_access(std::string(actor::expiry), access.name);
        !gone && gone.error().kind != ErrorKind::not_found) {
      return gone.error();
    }
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
  if (access.ended(now)) return std::nullopt;
  const bool old = access.key_id != *id;
  if (old && access.old_until <= now) return std::nullopt;
  if (!same_digest(digest, old ? access.old_digest : access.digest)) return std::nullopt;
  return access;
}

}  // namespace edgefleet::coordinator
