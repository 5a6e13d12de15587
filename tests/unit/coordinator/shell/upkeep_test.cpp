#include "coordinator/shell/upkeep.hpp"

#include "common/system/clock.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/records.hpp"
#include "tests/support/shell.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;

TEST_CASE("the store's clock continues where it stopped") {
  const test::TemporaryFolder folder;
  test::FailingStore store(folder.path());
  log::Complaints complaints;
  REQUIRE(store.keep_time(5h));
  Upkeep upkeep(store, Retention{}, complaints);
  REQUIRE(upkeep.start(Time{100s}));
  CHECK(upkeep.store_clock(Time{160s}) == 5h + 60s);
  upkeep.stop(Time{170s});
  CHECK(*store.clock() == 5h + 70s);
}

TEST_CASE("the clock is written only while a task waits for a point in time, and also by each commit") {
  const test::TemporaryFolder folder;
  test::FailingStore store(folder.path());
  log::Complaints complaints;
  Upkeep upkeep(store, Retention{}, complaints);
  const Time start = monotonic_now() - 2min;
  REQUIRE(upkeep.start(start));
  upkeep.run(false);
  CHECK(*store.clock() == 0s);
  CHECK(upkeep.next(false) > start + 2min);
  CHECK(upkeep.next(true) == start + 60s);
  upkeep.run(true);
  CHECK(*store.clock() >= 2min);
  upkeep.committed(monotonic_now() + 10s, true, false);
  CHECK(upkeep.next(true) > monotonic_now() + 50s);
}

TEST_CASE("tasks that have ended are purged soon after, a few at a time") {
  const test::TemporaryFolder folder;
  test::FailingStore store(folder.path());
  log::Complaints complaints;
  Upkeep upkeep(store, Retention{24h, 1}, complaints);
  REQUIRE(upkeep.start(monotonic_now() - 1min));
  upkeep.run(false);
  CHECK(upkeep.next(false) > monotonic_now() + 50s);
  for (std::uint64_t number = 1; number <= 3; ++number) {
    TaskRecord record = test::record(number);
    record.state = TaskState::cancelled;
    record.ended_at = WallTime{1};
    test::save(store, record);
  }
  upkeep.committed(monotonic_now() - 2s, true, true);
  CHECK(upkeep.next(false) <= monotonic_now());
  upkeep.run(false);
  CHECK_FALSE(store.reads().task(TaskId{Ulid{5, 1}})->has_value());
  CHECK(store.reads().task(TaskId{Ulid{5, 3}})->has_value());
}
