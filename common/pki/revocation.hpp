// Certificate revocation lists (CRL version 2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/pki/certificate.hpp"
#include "common/pki/dates.hpp"

namespace edgefleet::pki {

inline constexpr std::size_t most_revoked = 100'000;
inline constexpr std::size_t most_crl_text = 8UL << 20U;  // enough for them

struct Revoked {
  std::string serial;   // as Certificate::serial()
  std::int64_t at = 0;  // seconds since 1970

  friend bool operator==(const Revoked&, const Revoked&) = default;
};

struct RevocationList {
  std::int64_t number = 0;  // not negative; a later list has a higher one
  std::int64_t last_update = first_date;
  std::vector<Revoked> revoked;  // ascending by serial, each once

  [[nodiscard]] bool contains(std::string_view serial) const;
};

// Signed by this authority, PEM. It has no end: a computer without a clock would refuse all agents after one. Of a
// serial that comes twice, the earlier date counts.
Result<std::string> make_crl(const Certificate& ca, const Key& key, std::int64_t number,
                             const std::vector<Revoked>& revoked, std::int64_t last_update = first_date);

// An error unless the list is of this authority and signed by it. A list with a critical extension is refused: it would
// be about a part of the certificates only.
Result<RevocationList> read_crl(std::string_view pem, const Certificate& ca);

}  // namespace edgefleet::pki
