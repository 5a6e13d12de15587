// The clocks of the machine. A core never reads them: each event brings the time.
#pragma once

#include <chrono>

#include "common/core/time.hpp"

namespace edgefleet {

inline Time monotonic_now() { return Time{std::chrono::steady_clock::now().time_since_epoch()}; }
inline WallTime wall_now() {
  using namespace std::chrono;
  return WallTime{duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

}  // namespace edgefleet
