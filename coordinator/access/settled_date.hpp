// The date by which what has ended is removed for good.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>

#include "common/core/time.hpp"

namespace edgefleet::coordinator {

// A wall clock that is wrong for an hour must not remove what is good for months. So a jump of more than a day, to
// either side, is not believed before the coordinator has run with it for a day; until then time goes on from before.
class SettledDate {
 public:
  static constexpr std::int64_t longest_jump_ms = 86'400'000;
  static constexpr Duration doubt = std::chrono::hours(24);

  // `known`: as it was kept; none: the clock is all that there is.
  SettledDate(std::optional<WallTime> known, WallTime wall)
      : date_(known && far(wall.unix_ms - known->unix_ms) ? known->unix_ms : wall.unix_ms) {}

  // Call every few minutes, or more often.
  void look(WallTime wall, Time mono) {
    const std::int64_t steady = date_ + (looked_ ? to_ms(mono - *looked_) : 0);
    looked_ = mono;
    if (!far(wall.unix_ms - steady)) return settle(wall);
    date_ = steady;
    const bool same = jump_ && !far(wall.unix_ms - jump_->wall.unix_ms - to_ms(mono - jump_->at));
    if (!same) jump_ = Jump{wall, mono};
    if (mono - jump_->at >= doubt) settle(wall);
  }

  [[nodiscard]] std::int64_t seconds() const { return date_ / 1000; }

 private:
  struct Jump {
    WallTime wall;
    Time at;
  };
  static bool far(std::int64_t ms) { return std::abs(ms) > longest_jump_ms; }
  void settle(WallTime wall) {
    date_ = wall.unix_ms;
    jump_.reset();
  }

  std::int64_t date_;  // milliseconds since 1970
  std::optional<Time> looked_;
  std::optional<Jump> jump_;
};

}  // namespace edgefleet::coordinator
