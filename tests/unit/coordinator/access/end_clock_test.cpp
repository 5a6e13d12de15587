#include "coordinator/access/end_clock.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;

TEST_CASE("a clock that jumps forward by more than a day ends nothing until it is synchronised") {
  constexpr std::int64_t start = 1'800'000'000, day = 86'400;
  const EndClock clock(WallTime{start * 1000}, Time{5h});
  const auto date = [&](std::int64_t wall, Duration passed, bool synchronised) {
    return clock.date(WallTime{wall * 1000}, Time{5h} + passed, [&] { return synchronised; });
  };
  CHECK(date(start + 3600, 1h, false) == start + 3600);
  CHECK(date(start + 3600 + day, 1h, false) == start + 3600 + day);
  for (const std::int64_t jump : {2 * day, 365 * day, 20 * 365 * day}) {
    CHECK(date(start + jump, 1h, false) == start + 3600);
    CHECK(date(start + jump, 1h, true) == start + jump);
  }
  CHECK(date(start + 400 * day, 24h * 400, false) == start + 400 * day);  // that much time has really passed
  CHECK(date(0, 1h, false) == 0);                                         // back: nothing ends
}
