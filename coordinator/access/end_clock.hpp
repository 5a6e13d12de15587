// By which date the ends of certificates count for those who are connected: the wall clock's, unless that has jumped.
#pragma once

#include <cstdint>

#include "common/core/time.hpp"

namespace edgefleet::coordinator {

// Nothing changes it. A wall clock that jumps forward by more than a day would end all sessions at once. So until the
// system says that its clock is synchronised, or an operator confirms it by starting the coordinator again, time goes
// on from where it was at the start.
class EndClock {
 public:
  static constexpr std::int64_t longest_jump_ms = 86'400'000;

  EndClock(WallTime wall, Time mono) : wall_(wall), mono_(mono) {}

  // Seconds since 1970. `synchronised`: asked only after a jump.
  template <typename Synchronised>
  [[nodiscard]] std::int64_t date(WallTime wall, Time mono, Synchronised synchronised) const {
    const std::int64_t steady = wall_.unix_ms + to_ms(mono - mono_);
    const bool jumped = wall.unix_ms - steady > longest_jump_ms;
    return (jumped && !synchronised() ? steady : wall.unix_ms) / 1000;
  }

 private:
  WallTime wall_;
  Time mono_;
};

}  // namespace edgefleet::coordinator
