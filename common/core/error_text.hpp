// The text of an errno. Replaces std::strerror(), which is not thread-safe.
#pragma once

#include <string>
#include <system_error>

namespace edgefleet {

inline std::string error_text(int error) { return std::generic_category().message(error); }

}  // namespace edgefleet
