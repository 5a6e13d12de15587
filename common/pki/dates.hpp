// Dates of certificates: seconds since 1970 in 64 bits, also where the system's time_t has 32 and ends in 2038.
#pragma once

#include <cstdint>

namespace edgefleet::pki {

// A computer without a clock begins in 1970 or later: what begins then and has no end is valid at any time.
inline constexpr std::int64_t first_date = 0;                // 1970-01-01 00:00:00
inline constexpr std::int64_t last_date = 253'402'300'799;  // 9999-12-31 23:59:59: RFC 5280's "no end"

}  // namespace edgefleet::pki
