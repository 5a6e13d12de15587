#include "coordinator/access/revoked.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include "common/files/text_digest.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t digest_digits = 34;

}  // namespace

std::string serial_of_key(const std::string& key_id) {
  return "ef" + sha256("edgefleet access key " + key_id).substr(0, digest_digits);
}

void mark_key_revoked(SQLite::Database& db, const std::string& key_id, std::int64_t now, std::int64_t not_after) {
  SQLite::Statement row(db, "INSERT OR IGNORE INTO revoked VALUES (?, ?, ?)");
  row.bind(1, serial_of_key(key_id));
  row.bind(2, now);
  row.bind(3, not_after);
  row.exec();
  raise_crl_number(db);
}

void raise_crl_number(SQLite::Database& db) {
  db.exec("INSERT INTO numbers VALUES ('crl', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1");
}

}  // namespace edgefleet::coordinator
