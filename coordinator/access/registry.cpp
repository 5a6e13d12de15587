#include "coordinator/access/registry.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sys/stat.h>

#include <algorithm>
#include <sstream>

#include "common/core/ids.hpp"
#include "common/core/joined.hpp"
#include "common/core/utf8.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/secret.hpp"
#include "coordinator/store/sqlite/guarded.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t most_patterns = 100;
constexpr std::size_t most_pattern_bytes = 200;

constexpr const char* tables = R"sql(
CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accesses (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, models TEXT NOT NULL, capabilities TEXT NOT NULL,
  per_minute INTEGER NOT NULL, tokens_per_day INTEGER NOT NULL, expires_at INTEGER, created_at INTEGER NOT NULL,
  key_id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, old_key_id TEXT NOT NULL, old_digest TEXT NOT NULL,
  old_until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, about TEXT NOT NULL
);
)sql";

std::string lines_of(const std::vector<std::string>& patterns) { return joined(patterns, "\n"); }

std::vector<std::string> patterns_of(const std::string& lines) {
  std::vector<std::string> patterns;
  std::istringstream text(lines);
  for (std::string line; std::getline(text, line);) patterns.push_back(std::move(line));
  return patterns;
}

Status check(const std::vector<std::string>& patterns, const std::string& what) {
  if (patterns.size() > most_patterns) return invalid("at most " + std::to_string(most_patterns) + " " + what);
  for (const auto& pattern : patterns) {
    const bool plain = std::none_of(pattern.begin(), pattern.end(),
                                    [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 127; });
    if (pattern.empty() || pattern.size() > most_pattern_bytes || !plain || valid_utf8(pattern) != pattern) {
      return invalid("\"" + std::string(cut_front(pattern, most_pattern_bytes)) + "\" is not valid in " + what +
                     ": write names, with * for any characters");
    }
  }
  return success();
}

Status check(const std::string& name, const AccessLimits& limits, WallTime now) {
  if (!valid_name(name)) return invalid("\"" + name.substr(0, 63) + "\" is no valid name: " + std::string(name_rule));
  if (auto good = check(limits.models, "models"); !good) return good;
  if (auto good = check(limits.capabilities, "capabilities"); !good) return good;
  if (limits.per_minute < 0 || limits.tokens_per_day < 0) return invalid("a limit cannot be negative");
  if (limits.expires && *limits.expires <= now) return invalid("it would have expired already");
  return success();
}

Access read_access(SQLite::Statement& row) {
  Access access;
  access.name = row.getColumn(0).getString();
  access.role = parse_role(row.getColumn(1).getString()).value_or(Role::observe);
  access.limits.models = patterns_of(row.getColumn(2).getString());
  access.limits.capabilities = patterns_of(row.getColumn(3).getString());
  access.limits.per_minute = row.getColumn(4).getInt64();
  access.limits.tokens_per_day = row.getColumn(5).getInt64();
  if (!row.getColumn(6).isNull()) access.limits.expires = WallTime{row.getColumn(6).getInt64()};
  access.created = WallTime{row.getColumn(7).getInt64()};
  access.key_id = row.getColumn(8).getString();
  access.digest = row.getColumn(9).getString();
  access.old_key_id = row.getColumn(10).getString();
  access.old_digest = row.getColumn(11).getString();
  access.old_until = WallTime{row.getColumn(12).getInt64()};
  return access;
}

Error unknown_access(const std::string& name) {
  return Error{"there is no access named " + name.substr(0, 63), ErrorKind::not_found};
}

}  // namespace

Registry::Registry(std::unique_ptr<SQLite::Database> db) : db_(std::move(db)) {}
Registry::~Registry() = default;

Result<std::unique_ptr<Registry>> Registry::open(const std::string& directory) {
  const std::string path = directory + "/access.db";
  return guarded("opening " + path, [&]() -> Result<std::unique_ptr<Registry>> {
    auto db = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 5000);
    ::chmod(path.c_str(), S_IRUSR | S_IWUSR);
    db->exec("PRAGMA synchronous = FULL");
    db->exec(tables);
    std::unique_ptr<Registry> registry(new Registry(std::move(db)));
    if (auto loaded = registry->load(); !loaded) return loaded.error();
    return registry;
  });
}

Status Registry::load() {
  SQLite::Statement rows(
      *db_,
      "SELECT name, role, models, capabilities, per_minute, tokens_per_day, expires_at, created_at, key_id, digest, "
      "old_key_id, old_digest, old_until FROM accesses");
  while (rows.executeStep()) index(read_access(rows));
  return success();
}

void Registry::index(const Access& access) {
  by_name_[access.name] = access;
  by_key_id_[access.key_id] = access.name;
  if (!access.old_key_id.empty()) by_key_id_[access.old_key_id] = access.name;
}

void Registry::forget(const Access& access) {
  by_key_id_.erase(access.key_id);
  by_key_id_.erase(access.old_key_id);
  by_name_.erase(access.name);
}

template <typename Change>
Status Registry::write(const AuditEntry& entry, Change change) {
  return guarded(entry.what, [&]() -> Status {
    SQLite::Transaction transaction(*db_);
    if (Status changed = change(); !changed) return changed;
    SQLite::Statement audit(*db_, "INSERT INTO audit (at, who, what, about) VALUES (?, ?, ?, ?)");
    audit.bind(1, entry.at.unix_ms);
    audit.bind(2, entry.who);
    audit.bind(3, entry.what);
    audit.bind(4, entry.about);
    audit.exec();
    SQLite::Statement oldest(*db_, "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?");
    oldest.bind(1, static_cast<std::int64_t>(most_audit_entries));
    oldest.exec();
    transaction.commit();
    return success();
  });
}

void Registry::insert(const Access& access) {
  SQLite::Statement row(*db_, "INSERT OR REPLACE INTO accesses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  row.bind(1, access.name);
  row.bind(2, std::string(to_string(access.role)));
  row.bind(3, lines_of(access.limits.models));
  row.bind(4, lines_of(access.limits.capabilities));
  row.bind(5, access.limits.per_minute);
  row.bind(6, access.limits.tokens_per_day);
  access.limits.expires ? row.bind(7, access.limits.expires->unix_ms) : row.bind(7);
  row.bind(8, access.created.unix_ms);
  row.bind(9, access.key_id);
  row.bind(10, access.digest);
  row.bind(11, access.old_key_id);
  row.bind(12, access.old_digest);
  row.bind(13, access.old_until.unix_ms);
  row.exec();
}

Result<NewKey> Registry::create_access(const std::string& who, const std::string& name, Role role,
                                       AccessLimits limits) {
  const WallTime now = wall_now();
  if (auto good = check(name, limits, now); !good) return good.error();
  const Secret secret = make_secret(access_prefix);
  const Access access{name, role, std::move(limits), now, secret.id, secret_digest(secret.text)};
  const std::lock_guard lock(mutex_);
  if (by_name_.size() >= most_accesses) {
    return Error{"there are " + std::to_string(most_accesses) + " accesses already; revoke some", ErrorKind::busy};
  }
  const Status written =
      write({now, who, "access.create", name + ", role " + std::string(to_string(role))}, [&]() -> Status {
        SQLite::Statement taken(*db_, "SELECT kind FROM names WHERE name = ?");
        taken.bind(1, name);
        if (taken.executeStep()) {
          return Error{"the name " + name + " is taken (" + taken.getColumn(0).getString() + "); choose another one",
                       ErrorKind::conflict};
        }
        SQLite::Statement own(*db_, "INSERT INTO names VALUES (?, 'access')");
        own.bind(1, name);
        own.exec();
        insert(access);
        return success();
      });
  if (!written) return written.error();
  index(access);
  return NewKey{name, secret.text};
}

Result<NewKey> Registry::rotate_access(const std::string& who, const std::string& name, Duration overlap) {
  const WallTime now = wall_now();
  const Secret secret = make_secret(access_prefix);
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return unknown_access(name);
  Access access = found->second;
  access.old_key_id = overlap > Duration{0} ? access.key_id : "";
  access.old_digest = overlap > Duration{0} ? access.digest : "";
  access.old_until = WallTime{now.unix_ms + to_ms(overlap)};
  access.key_id = secret.id;
  access.digest = secret_digest(secret.text);
  const Status written = write({now, who, "access.rotate", name}, [&]() -> Status {
    insert(access);
    return success();
  });
  if (!written) return written.error();
  forget(Access(found->second));
  index(access);
  return NewKey{name, secret.text};
}

Status Registry::revoke_access(const std::string& who, const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return unknown_access(name);
  const Status written = write({wall_now(), who, "access.revoke", name}, [&]() -> Status {
    for (const char* table : {"accesses", "names"}) {
      SQLite::Statement row(*db_, std::string("DELETE FROM ") + table + " WHERE name = ?");
      row.bind(1, name);
      row.exec();
    }
    return success();
  });
  if (!written) return written;
  forget(Access(found->second));
  return success();
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
  const auto named = by_key_id_.find(*id);
  if (named == by_key_id_.end()) return std::nullopt;
  const Access& access = by_name_.at(named->second);
  if (access.limits.expires && *access.limits.expires <= now) return std::nullopt;
  const bool old = access.key_id != *id;
  if (old && access.old_until <= now) return std::nullopt;
  if (!same_digest(digest, old ? access.old_digest : access.digest)) return std::nullopt;
  return access;
}

Status Registry::reserve(const std::vector<std::string>& names) {
  const std::lock_guard lock(mutex_);
  return guarded("reserving names", [&]() -> Status {
    SQLite::Transaction transaction(*db_);
    for (const auto& name : names) {
      SQLite::Statement row(*db_, "INSERT OR IGNORE INTO names VALUES (?, 'reserved')");
      row.bind(1, name);
      row.exec();
    }
    transaction.commit();
    return success();
  });
}

Status Registry::audit(const AuditEntry& entry) {
  const std::lock_guard lock(mutex_);
  return write(entry, [] { return success(); });
}

Result<std::vector<AuditEntry>> Registry::audited(std::size_t most) const {
  const std::lock_guard lock(mutex_);
  return guarded("reading the audit", [&]() -> Result<std::vector<AuditEntry>> {
    SQLite::Statement rows(*db_, "SELECT at, who, what, about FROM audit ORDER BY id DESC LIMIT ?");
    rows.bind(1, static_cast<std::int64_t>(most));
    std::vector<AuditEntry> entries;
    while (rows.executeStep()) {
      entries.push_back({WallTime{rows.getColumn(0).getInt64()}, rows.getColumn(1).getString(),
                         rows.getColumn(2).getString(), rows.getColumn(3).getString()});
    }
    return entries;
  });
}

}  // namespace edgefleet::coordinator
