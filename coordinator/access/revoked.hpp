// The list of what is revoked has the serial numbers of certificates, and the keys of accesses that were revoked or
// replaced, as numbers of their own form. So whoever has the list, which is signed, knows all that must not come back
// with an old backup.
#pragma once

#include <cstdint>
#include <string>

namespace SQLite {
class Database;
}

namespace edgefleet::coordinator {

// "ef" and 34 hexadecimal digits of a digest: longer than the serial of a certificate, and tells nothing of the key.
std::string serial_of_key(const std::string& key_id);
bool is_of_key(const std::string& serial);

// Within a change of the database. `not_after`: when the key ends by itself, in seconds since 1970.
void mark_key_revoked(SQLite::Database& db, const std::string& key_id, std::int64_t now, std::int64_t not_after);
// What another list has. It does not say when a certificate ends: at the latest then; a key has no end.
void mark_listed(SQLite::Database& db, const std::string& serial, std::int64_t at, std::int64_t certificates_end);
void raise_crl_number(SQLite::Database& db);

}  // namespace edgefleet::coordinator
