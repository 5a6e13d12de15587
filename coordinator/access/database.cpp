#include "coordinator/access/database.hpp"

#include <sys/stat.h>

#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/transaction.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr const char* tables = R"sql(
CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accesses (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, models TEXT NOT NULL, capabilities TEXT NOT NULL,
  per_minute INTEGER NOT NULL, expires_at INTEGER, created_at INTEGER NOT NULL,
  key_id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, password TEXT NOT NULL, old_key_id TEXT NOT NULL,
  old_digest TEXT NOT NULL, old_until INTEGER NOT NULL, owner TEXT NOT NULL DEFAULT '',
  tokens_per_day INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS former_accesses (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agents (
  name TEXT PRIMARY KEY, serial TEXT NOT NULL, key_sha256 TEXT NOT NULL, certificate TEXT NOT NULL,
  not_after INTEGER NOT NULL, enrolled_at INTEGER NOT NULL, capabilities TEXT NOT NULL, machine TEXT NOT NULL,
  token_id TEXT NOT NULL, ephemeral INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS agents_by_key ON agents (key_sha256);
CREATE INDEX IF NOT EXISTS agents_by_time ON agents (enrolled_at);
CREATE TABLE IF NOT EXISTS join_tokens (
  id TEXT PRIMARY KEY, digest TEXT NOT NULL, uses INTEGER NOT NULL, used INTEGER NOT NULL, expires_at INTEGER NOT NULL,
  name TEXT NOT NULL, capabilities TEXT NOT NULL, created_by TEXT NOT NULL, ephemeral INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revoked (serial TEXT PRIMARY KEY, at INTEGER NOT NULL, not_after INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revoked_keys (key_sha256 TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS issued (serial TEXT PRIMARY KEY, name TEXT NOT NULL, not_after INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS issued_by_end ON issued (not_after);
CREATE TABLE IF NOT EXISTS sessions_to_end (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unknown_agents (
  serial TEXT PRIMARY KEY, name TEXT NOT NULL, key_sha256 TEXT NOT NULL, certificate TEXT NOT NULL,
  not_after INTEGER NOT NULL, seen_at INTEGER NOT NULL, address TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, about TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS audit_of_machines (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, about TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refusals (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, about TEXT NOT NULL, count INTEGER NOT NULL
);
)sql";

// After the columns that were added.
constexpr const char* agents_are_issued = R"sql(
INSERT OR IGNORE INTO issued (serial, name, not_after, key_sha256, certificate)
  SELECT serial, name, not_after, key_sha256, certificate FROM agents;
CREATE INDEX IF NOT EXISTS issued_by_name ON issued (name);
CREATE INDEX IF NOT EXISTS issued_by_key ON issued (key_sha256);
)sql";

// Of a database that an earlier version has made.
bool add_column(SQLite::Database& db, const std::string& table, const std::string& column, const std::string& type) {
  SQLite::Statement present(db, "SELECT 1 FROM pragma_table_info(?) WHERE name = ?");
  present.bind(1, table);
  present.bind(2, column);
  if (present.executeStep()) return false;
  db.exec("ALTER TABLE " + table + " ADD COLUMN " + column + " " + type);
  return true;
}

// Accesses for the broker were full ones of an hour, which ended by themselves. They are made again when needed.
constexpr const char* remove_full_mqtt_accesses = R"sql(
DELETE FROM names WHERE kind = 'access' AND name IN (
  SELECT name FROM accesses WHERE name LIKE '%-mqtt-____' AND expires_at - created_at <= 3600000);
DELETE FROM accesses WHERE name LIKE '%-mqtt-____' AND expires_at - created_at <= 3600000;
)sql";

constexpr const char* note_former_accesses = R"sql(
INSERT OR IGNORE INTO former_accesses SELECT about FROM audit WHERE what = 'access.revoke';
)sql";

void add_owner(SQLite::Database& db) {
  SQLite::Transaction transaction(db);
  if (add_column(db, "accesses", "owner", "TEXT NOT NULL DEFAULT ''")) {
    db.exec(remove_full_mqtt_accesses);
    db.exec(note_former_accesses);
  }
  transaction.commit();
}

}  // namespace

AccessDatabase::AccessDatabase(std::unique_ptr<SQLite::Database> db) : db_(std::move(db)) {}
AccessDatabase::~AccessDatabase() = default;

Result<std::unique_ptr<AccessDatabase>> AccessDatabase::open(const std::string& directory) {
  const std::string path = directory + "/access.db";
  return guarded("opening " + path, [&]() -> Result<std::unique_ptr<AccessDatabase>> {
    auto db = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 5000);
    ::chmod(path.c_str(), S_IRUSR | S_IWUSR);
    db->exec("PRAGMA synchronous = FULL");
    db->exec(tables);
    for (const char* table : {"agents", "join_tokens"})
      add_column(*db, table, "ephemeral", "INTEGER NOT NULL DEFAULT 0");
    add_column(*db, "accesses", "tokens_per_day", "INTEGER NOT NULL DEFAULT 0");
    add_owner(*db);
    for (const char* column : {"key_sha256", "certificate"})
      add_column(*db, "issued", column, "TEXT NOT NULL DEFAULT ''");
    add_column(*db, "revoked", "by_token", "TEXT NOT NULL DEFAULT ''");
    db->exec(agents_are_issued);
    return std::unique_ptr<AccessDatabase>(new AccessDatabase(std::move(db)));
  });
}

Status AccessDatabase::reserve(const std::vector<std::string>& names) {
  return read("reserving names", [&](SQLite::Database& db) -> Status {
    SQLite::Transaction transaction(db);
    for (const auto& name : names) {
      SQLite::Statement row(db, "INSERT OR IGNORE INTO names VALUES (?, 'reserved')");
      row.bind(1, name);
      row.exec();
    }
    transaction.commit();
    return success();
  });
}

Status AccessDatabase::take_name(SQLite::Database& db, const std::string& name, std::string_view kind) {
  if (reserved_name(name)) return Error{"the name " + name + " is reserved; choose another one", ErrorKind::conflict};
  SQLite::Statement taken(db, "SELECT kind FROM names WHERE name = ?");
  taken.bind(1, name);
  if (taken.executeStep()) {
    return Error{"the name " + name + " is taken (" + taken.getColumn(0).getString() + "); choose another one",
                 ErrorKind::conflict};
  }
  SQLite::Statement own(db, "INSERT INTO names VALUES (?, ?)");
  own.bind(1, name);
  own.bind(2, std::string(kind));
  own.exec();
  return success();
}

bool AccessDatabase::is_taken(SQLite::Database& db, const std::string& name) {
  SQLite::Statement taken(db, "SELECT 1 FROM names WHERE name = ?");
  taken.bind(1, name);
  return taken.executeStep();
}

void AccessDatabase::free_name(SQLite::Database& db, const std::string& name) {
  SQLite::Statement row(db, "DELETE FROM names WHERE name = ?");
  row.bind(1, name);
  row.exec();
}

void AccessDatabase::insert(SQLite::Database& db, const AuditEntry& entry) {
  const std::string table = entry.of_machine ? "audit_of_machines" : "audit";
  SQLite::Statement audit(db, "INSERT INTO " + table + " (at, who, what, about) VALUES (?, ?, ?, ?)");
  audit.bind(1, entry.at.unix_ms);
  audit.bind(2, entry.who);
  audit.bind(3, entry.what);
  audit.bind(4, entry.about);
  audit.exec();
  SQLite::Statement oldest(db, "DELETE FROM " + table + " WHERE id <= (SELECT max(id) FROM " + table + ") - ?");
  oldest.bind(1, static_cast<std::int64_t>(entry.of_machine ? most_machine_entries : most_audit_entries));
  oldest.exec();
}

Status AccessDatabase::audit(const AuditEntry& entry) {
  return write(entry, [](SQLite::Database&, AuditEntry&) { return success(); });
}

Status AccessDatabase::write_refusals(WallTime at, const std::vector<Refusal>& refused) {
  return read("writing refusals", [&](SQLite::Database& db) -> Status {
    SQLite::Transaction transaction(db);
    for (const Refusal& one : refused) {
      SQLite::Statement row(db, "INSERT INTO refusals (at, who, about, count) VALUES (?, ?, ?, ?)");
      row.bind(1, at.unix_ms);
      row.bind(2, one.who);
      row.bind(3, one.what);
      row.bind(4, static_cast<std::int64_t>(one.count));
      row.exec();
    }
    SQLite::Statement oldest(db, "DELETE FROM refusals WHERE id <= (SELECT max(id) FROM refusals) - ?");
    oldest.bind(1, static_cast<std::int64_t>(most_refusals));
    oldest.exec();
    transaction.commit();
    return success();
  });
}

Result<std::vector<AuditEntry>> AccessDatabase::audited(std::size_t most) const {
  return read("reading the audit", [&](SQLite::Database& db) -> Result<std::vector<AuditEntry>> {
    SQLite::Statement rows(
        db,
        "SELECT * FROM (SELECT at, who, what, about, id FROM audit ORDER BY id DESC LIMIT ?1) UNION ALL SELECT * FROM "
        "(SELECT at, who, what, about, id FROM audit_of_machines ORDER BY id DESC LIMIT ?1) UNION ALL SELECT * FROM "
        "(SELECT at, who, 'refused', iif(count > 1, about || ' (' || count || ' times)', about), id FROM refusals "
        "ORDER "
        "BY id DESC LIMIT ?1) ORDER BY at DESC, id DESC LIMIT ?1");
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
