#include "coordinator/access/revoked.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include "common/files/text_digest.hpp"
#include "common/pki/dates.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t digest_digits = 34;
constexpr std::size_t certificate_digits = 32;  // at most

void insert(SQLite::Database& db, const std::string& serial, std::int64_t at, std::int64_t not_after) {
  SQLite::Statement row(db, "INSERT OR IGNORE INTO revoked (serial, at, not_after) VALUES (?, ?, ?)");
  row.bind(1, serial);
  row.bind(2, at);
  row.bind(3, not_after);
  row.exec();
}

}  // namespace

std::string serial_of_key(const std::string& key_id) {
  return "ef" + sha256("edgefleet access key " + key_id).substr(0, digest_digits);
}

bool is_of_key(const std::string& serial) { return serial.size() > certificate_digits; }

void mark_key_revoked(SQLite::Database& db, const std::string& key_id, std::int64_t now, std::int64_t not_after) {
  insert(db, serial_of_key(key_id), now, not_after);
  raise_crl_number(db);
}

void mark_listed(SQLite::Database& db, const std::string& serial, std::int64_t at, std::int64_t certificates_end) {
  insert(db, serial, at, is_of_key(serial) ? pki::last_date : certificates_end);
}

void raise_crl_number(SQLite::Database& db) {
  db.exec("INSERT INTO numbers VALUES ('crl', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1");
}

}  // namespace edgefleet::coordinator
