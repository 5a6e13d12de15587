// A bound on rate: a burst at once, then one per interval. Full at its first use.
#pragma once

#include <algorithm>
#include <optional>

#include "common/core/time.hpp"

namespace edgefleet {

class TokenBucket {
 public:
  // False: there are not so many now, and none is taken.
  bool take(Time now, double burst, Duration spacing, double count = 1) {
    const std::chrono::duration<double> interval = spacing;
    const std::chrono::duration<double> passed = now - at_.value_or(now);
    tokens_ = at_ ? std::min(burst, tokens_ + passed / interval) : burst;
    at_ = now;
    if (tokens_ < count) return false;
    tokens_ -= count;
    return true;
  }
  // When the next one is there, seen from the last take(); in the past if there is one.
  [[nodiscard]] Time next(Duration spacing) const {
    if (!at_) return Time{};
    return *at_ + std::chrono::duration_cast<Duration>(spacing * std::max(0.0, 1 - tokens_));
  }

 private:
  double tokens_ = 0;  // as of at_
  std::optional<Time> at_;
};

}  // namespace edgefleet
