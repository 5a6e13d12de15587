// Random bits from the system. A core never reads them: it receives its seed at the start (common/core/random.hpp).
#pragma once

#include <cstdint>

#include "common/core/ids.hpp"

namespace edgefleet {

std::uint64_t random_seed();
// 128 random bits as 26 characters.
SessionId new_session_id();

}  // namespace edgefleet
