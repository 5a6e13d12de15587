#include <set>

#include "common/system/clock.hpp"
#include "common/system/entropy.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("the monotonic clock never goes back, and the wall clock is in this century") {
  Time before = monotonic_now();
  for (int i = 0; i < 1000; ++i) {
    const Time now = monotonic_now();
    REQUIRE(now >= before);
    before = now;
  }
  CHECK(wall_now().unix_ms > 1'700'000'000'000);
  CHECK(wall_now().unix_ms < 4'102'444'800'000);  // the year 2100
}

TEST_CASE("sessions and seeds do not repeat") {
  std::set<SessionId> sessions;
  std::set<std::uint64_t> seeds;
  for (int i = 0; i < 1000; ++i) {
    sessions.insert(new_session_id());
    seeds.insert(random_seed());
  }
  CHECK(sessions.size() == 1000);
  CHECK(seeds.size() == 1000);
}
