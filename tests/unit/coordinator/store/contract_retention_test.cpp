// Contract of the `Store` port: the removal of old tasks.
#include "tests/unit/coordinator/store/contract.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;
using namespace edgefleet::test;

namespace {

std::vector<std::uint64_t> numbers_kept(Store& store, std::uint64_t most) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t n = 1; n <= most; ++n) {
    if (kept(store, n)) all.push_back(n);
  }
  return all;
}

using Numbers = std::vector<std::uint64_t>;
constexpr Retention everything{0s, 1000};

}  // namespace

TEST_CASE("store contract: ended tasks are removed when they are old enough, failed ones too; unfinished ones never") {
  EachStore store;
  save(*store, ended_record(1), true, 1h);
  save(*store, ended_record(2, TaskState::failed), true, 1h);
  save(*store, record(3), true, 1h);
  save(*store, ended_record(4), true, 3h);
  TaskRecord cancelling = record(5);
  cancelling.state = TaskState::cancelling;
  save(*store, cancelling, true, 1h);
  const Retention two_hours{2h, 1000};
  CHECK(store->purge(two_hours, 3h - 1ms, 100)->tasks == 0);
  CHECK(store->purge(two_hours, 3h, 100)->tasks == 2);
  CHECK(numbers_kept(*store, 5) == Numbers{3, 4, 5});
  CHECK(store->purge({0s, 0}, 1000h, 100)->tasks == 1);
  store.reopen();
  CHECK(numbers_kept(*store, 5) == Numbers{3, 5});
}

TEST_CASE("store contract: the age of a task begins with its end, not with its creation or a later write of another") {
  EachStore store;
  save(*store, record(1), true, 1h);
  save(*store, ended_record(2), true, 2h);
  save(*store, ended_record(1), false, 3h);
  save(*store, record(3), true, 4h);
  CHECK(store->purge({2h, 1000}, 4h, 100)->tasks == 1);
  CHECK(numbers_kept(*store, 3) == Numbers{1, 3});
}

TEST_CASE("store contract: nothing is left of a task that is removed, and its key is free") {
  EachStore store;
  TaskRecord r = ended_record(1);
  r.idempotency_key = "k";
  r.spec.input = R"({"artifact":"sha256-in"})";
  r.output = R"({"artifact":"sha256-out"})";
  save(*store, r, true, 1h);
  REQUIRE(store->purge(everything, 1h, 100)->tasks == 1);
  CHECK_FALSE(store->reads().task_by_key("test", "k")->has_value());
  CHECK_FALSE(*store->reads().artifact_named("sha256-in"));
  CHECK_FALSE(*store->reads().artifact_named("sha256-out"));
  CHECK(ids(store->reads().tasks({})).empty());
  TaskRecord next = record(2);
  next.idempotency_key = "k";
  save(*store, next, true, 2h);
  CHECK(store->reads().task_by_key("test", "k")->value().id == id(2));
}

TEST_CASE("store contract: the oldest end goes first, whatever the ids are, a bounded number at a time") {
  EachStore store;
  for (std::uint64_t n = 1; n <= 10; ++n) save(*store, ended_record(n), true, std::chrono::seconds(11 - n));
  const Retention four{100h, 4};
  const auto first = store->purge(four, 1h, 4);
  CHECK(first->tasks == 4);
  CHECK(first->more);
  CHECK(numbers_kept(*store, 10) == Numbers{1, 2, 3, 4, 5, 6});
  const auto second = store->purge(four, 1h, 4);
  CHECK(second->tasks == 2);
  CHECK_FALSE(second->more);
  const auto third = store->purge(four, 1h, 4);
  CHECK(third->tasks == 0);
  CHECK_FALSE(third->more);
  CHECK(numbers_kept(*store, 10) == Numbers{1, 2, 3, 4});
}

TEST_CASE("store contract: of tasks that ended at the same time the oldest id goes first") {
  EachStore store;
  save_all(*store, {ended_record(3), ended_record(1), ended_record(2)});
  CHECK(store->purge({100h, 2}, 1h, 100)->tasks == 1);
  CHECK(numbers_kept(*store, 3) == Numbers{2, 3});
}

TEST_CASE("store contract: only tasks with an outcome count, across a restart") {
  EachStore store;
  for (std::uint64_t n = 1; n <= 6; ++n) save(*store, n % 2 == 0 ? ended_record(n) : record(n));
  store.reopen();
  const Retention two{100h, 2};
  CHECK(store->purge(two, 1h, 100)->tasks == 1);
  CHECK(numbers_kept(*store, 6) == Numbers{1, 3, 4, 5, 6});
  save(*store, ended_record(1), false, 1h);
  CHECK(store->purge(two, 1h, 100)->tasks == 1);
  CHECK(numbers_kept(*store, 6) == Numbers{1, 3, 5, 6});
}

TEST_CASE("store contract: a retry by hand takes a task out of the count, and its new end adds it again") {
  EachStore store;
  for (std::uint64_t n = 1; n <= 4; ++n) save(*store, ended_record(n), true, std::chrono::seconds(n));
  const Retention four{100h, 4};
  Writes again;
  const TaskRecord retried = record(1);
  again.tasks.push_back({&retried, {}, {}, false});
  again.revived = 1;
  again.clock = 1h;
  REQUIRE(store->commit(again));
  save(*store, ended_record(5), true, 2h);
  CHECK(store->purge(four, 2h, 4)->tasks == 0);
  save(*store, ended_record(1), false, 3h);
  CHECK(store->purge(four, 3h, 4)->tasks == 1);
  CHECK(numbers_kept(*store, 5) == Numbers{1, 3, 4, 5});
}

TEST_CASE("store contract: ends whose commit failed at first count once") {
  EachStore store;
  const Retention two{100h, 2};
  std::vector<TaskRecord> records = {ended_record(1), ended_record(2)};
  Writes writes;
  for (const TaskRecord& r : records) writes.tasks.push_back(created(r));
  store.break_writes(true);
  CHECK_FALSE(store->commit(writes));
  CHECK_FALSE(store->commit(writes));
  store.break_writes(false);
  REQUIRE(store->commit(writes));
  CHECK(store->purge(two, 1h, 100)->tasks == 0);
  save(*store, ended_record(3), true, 1h);
  CHECK(store->purge(two, 1h, 100)->tasks == 1);
}

TEST_CASE("store contract: a removal that fails removes nothing, and the next one removes the same") {
  EachStore store;
  for (std::uint64_t n = 1; n <= 4; ++n) save(*store, ended_record(n), true, std::chrono::seconds(n));
  const Retention two{100h, 2};
  store.break_writes(true);
  const auto failed = store->purge(two, 1h, 100);
  REQUIRE_FALSE(failed);
  CHECK_FALSE(failed.error().message.empty());
  CHECK(numbers_kept(*store, 4) == Numbers{1, 2, 3, 4});
  store.break_writes(false);
  CHECK(store->purge(two, 1h, 100)->tasks == 2);
  CHECK(numbers_kept(*store, 4) == Numbers{3, 4});
}

TEST_CASE("store contract: a removal that finds nothing does not write, not even the clock") {
  EachStore store;
  save(*store, ended_record(1), true, 1h);
  CHECK(store->purge({2h, 1000}, 2h, 100)->tasks == 0);
  CHECK(*store->clock() == 1h);
}

TEST_CASE("store contract: a batch is removed with the last of its tasks") {
  EachStore store;
  std::vector<TaskRecord> records = {ended_record(1), ended_record(2), record(3)};
  BatchRecord batch = batch_of(records);
  batch.idempotency_key = "k";
  save_all(*store, records, {batch});
  CHECK(store->purge(everything, 1s, 100)->tasks == 2);
  REQUIRE(store->reads().batch(batch.id)->has_value());
  check_equal(store->reads().batch_by_key("test", "k")->value(), batch);
  CHECK(store->reads().batch_counts(batch)->at(static_cast<std::size_t>(TaskState::succeeded)) == 0);
  CHECK(store->reads().batch_counts(batch)->at(static_cast<std::size_t>(TaskState::queued)) == 1);
  records.back().state = TaskState::failed;
  save(*store, records.back(), false, 1s);
  CHECK(store->purge(everything, 2s, 100)->tasks == 1);
  CHECK_FALSE(store->reads().batch(batch.id)->has_value());
  CHECK_FALSE(store->reads().batch_by_key("test", "k")->has_value());
}
