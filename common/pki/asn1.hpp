// Dates and serial numbers in the form of ASN.1. For the sources of this room only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/pki/openssl.hpp"

namespace edgefleet::pki {

// As RFC 5280 wants it: UTCTime before 2050, GeneralizedTime from then on. nullptr: outside of first_date to last_date.
OwnedTime to_asn1(std::int64_t date);
std::optional<std::int64_t> date_of(const ASN1_TIME* time);

// Lower-case hexadecimal digits, two for each byte; after a '-' if the number is negative.
std::string serial_text(const ASN1_INTEGER* serial);
// nullptr: `text` is not 1 to 40 of these digits (RFC 5280: at most 20 bytes).
OwnedInteger serial_from(std::string_view text);
// 128 random bits of which the first eight are not all 0, so that its text always has 32 digits.
OwnedInteger random_serial();

}  // namespace edgefleet::pki
