// Exponential backoff with full jitter: uniform between 0 and the doubled, capped pause.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/core/time.hpp"

namespace edgefleet {

struct Backoff {
  Duration first = std::chrono::seconds(1);
  Duration most = std::chrono::seconds(60);

  // The longest pause before try number `failures` + 1 (failures >= 1).
  [[nodiscard]] Duration ceiling(int failures) const {
    const int doublings = std::clamp(failures - 1, 0, 30);
    const bool beyond = first.count() > most.count() >> doublings;  // shifted, it could overflow
    return beyond ? most : Duration{first.count() << doublings};
  }
  // `random`: 64 uniform bits.
  [[nodiscard]] Duration pause(int failures, std::uint64_t random) const {
    const double share = static_cast<double>(random >> 11U) * 0x1.0p-53;
    return Duration{static_cast<std::int64_t>(static_cast<double>(ceiling(failures).count()) * share)};
  }
  friend bool operator==(const Backoff&, const Backoff&) = default;
};

}  // namespace edgefleet
