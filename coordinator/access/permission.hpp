// What the holder of an access may let the fleet do. docs/security.md, "Roles".
#pragma once

#include <string_view>

#include "common/core/result.hpp"
#include "coordinator/access/access.hpp"

namespace edgefleet::coordinator {

// Errors: forbidden, with what is missing.
Status may_submit(const Access& access, std::string_view capability);

}  // namespace edgefleet::coordinator
