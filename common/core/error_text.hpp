// What an errno means. Not std::strerror(), which must not be called by two threads at once.
#pragma once

#include <string>
#include <system_error>

namespace edgefleet {

inline std::string error_text(int error) { return std::generic_category().message(error); }

}  // namespace edgefleet
