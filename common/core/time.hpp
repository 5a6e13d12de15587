// Two kinds of time that must never be mixed up (design: "clocks may be wrong").
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace edgefleet {

using Duration = std::chrono::nanoseconds;

// The monotonic clock of the cores: nanoseconds since an arbitrary start. All deadlines use it; the shells read it
// from std::chrono::steady_clock, the simulations generate it.
struct CoreClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<CoreClock, duration>;
  static constexpr bool is_steady = true;
};
using Time = CoreClock::time_point;

// For display: milliseconds since 1970, by the coordinator's clock. No decision depends on it but the day of a budget.
struct WallTime {
  std::int64_t unix_ms = 0;
  friend auto operator<=>(const WallTime&, const WallTime&) = default;
};

inline std::int64_t to_ms(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

// "3 s", "1500 ms"
inline std::string exact_duration(Duration d) {
  const auto ms = to_ms(d);
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

}  // namespace edgefleet
