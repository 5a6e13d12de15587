#include "coordinator/access/settled_date.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

constexpr std::int64_t start = 1'800'000'000, day = 86'400;

struct Clock {
  std::int64_t wall = start;
  Time mono{};
  SettledDate date{std::nullopt, WallTime{start * 1000}};

  // By how much the clock is ahead of the date then. Inlined, GCC 12 takes the optional of SettledDate for unset.
  [[gnu::noinline]] std::int64_t pass(std::int64_t seconds, std::int64_t step = 60) {
    for (std::int64_t done = 0; done < seconds; done += step) {
      wall += step;
      mono += std::chrono::seconds(step);
      date.look(WallTime{wall * 1000}, mono);
    }
    return wall - date.seconds();
  }
};

}  // namespace

TEST_CASE("the date follows the clock, and its small corrections to both sides") {
  Clock clock;
  CHECK(clock.pass(3600) == 0);
  clock.wall += day - 120;
  CHECK(clock.pass(60) == 0);
  clock.wall -= day - 120;
  CHECK(clock.pass(60) == 0);
  CHECK(clock.pass(400 * day, day) == 0);
}

TEST_CASE("a jump of more than a day is believed after a day of it") {
  for (const std::int64_t jump : {2 * day, 5000 * day, -2 * day, -5000 * day}) {
    Clock clock;
    clock.pass(600);
    clock.wall += jump;
    CHECK(clock.pass(3600) == jump);
    CHECK(clock.pass(day - 7200) == jump);
    CHECK(clock.pass(2 * 3600) == 0);
  }
}

TEST_CASE("a clock that jumps to and fro is believed when it is back, and each jump begins a day of its own") {
  Clock clock;
  clock.pass(60);
  for (int i = 0; i < 20; ++i) {
    clock.wall += 100 * day;
    CHECK(clock.pass(day / 2) == 100 * day * (i + 1));
  }
  clock.wall -= 20 * 100 * day;
  CHECK(clock.pass(60) == 0);
}

TEST_CASE("after a start the date is the one that was kept, if the clock is far from it") {
  const auto at = [](std::int64_t kept) {
    return SettledDate(WallTime{kept * 1000}, WallTime{start * 1000}).seconds();
  };
  CHECK(at(start - 3600) == start);
  CHECK(at(start + 3600) == start);
  CHECK(at(start - 10 * day) == start - 10 * day);
  CHECK(at(start + 10 * day) == start + 10 * day);
}
