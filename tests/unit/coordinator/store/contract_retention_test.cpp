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
constexpr std::uint64_t large = 20'000;

TaskRecord large_record(std::uint64_t number) {
  TaskRecord r = ended_record(number);
  r.output = "\"" + std::string(large, 'x') + "\"";
  return r;
}

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

TEST_CASE("store contract: beyond the bytes the oldest go, until what is left is within them") {
  EachStore store;
  for (std::uint64_t n = 1; n <= 4; ++n) save(*store, large_record(n), true, std::chrono::seconds(n));
  for (std::uint64_t n = 5; n <= 6; ++n) save(*store, record(n), true, 1s);
  CHECK(store->purge({100h, 1000, 4 * large}, 1h, 100)->tasks == 1);  // each has more than its output
  CHECK(store->purge({100h, 1000, 4 * large}, 1h, 100)->tasks == 0);
  CHECK(numbers_kept(*store, 6) == Numbers{2, 3, 4, 5, 6});
  const auto first = store->purge({100h, 1000, 0}, 1h, 2);
  CHECK(first->tasks == 2);
  CHECK(first->more);
  CHECK(store->purge({100h, 1000, 0}, 1h, 2)->tasks == 1);
  CHECK(numbers_kept(*store, 6) == Numbers{5, 6});
}

TEST_CASE("store contract: every text of an ended task counts, across a restart") {
  EachStore store;
  constexpr std::uint64_t size = 3000;  // the text of an error is not cut, and it exceeds all the rest of these tasks
  const std::string text = "\"" + std::string(size, 'x') + "\"";
  std::vector<TaskRecord> records;
  for (std::uint64_t n = 1; n <= 5; ++n) records.push_back(ended_record(n, TaskState::failed));
  records[0].spec.input = text;
  records[1].output = text;
  records[2].error = TaskError{"failed", text, false, {}};
  records[3].usage = text;
  records[4].attempts.resize(1);
  records[4].attempts[0].agent = *AgentName::parse("pi-1");
  records[4].attempts[0].error = TaskError{"failed", text, false, {}};
  for (std::size_t i = 0; i < records.size(); ++i) save(*store, records[i], true, std::chrono::seconds(i));
  store.reopen();
  for (std::uint64_t left = 4; left > 0; --left) {
    CHECK(store->purge({100h, 1000, (left + 1) * size}, 1h, 100)->tasks == 1);
    CHECK(store->purge({100h, 1000, (left + 1) * size}, 1h, 100)->tasks == 0);
  }
  CHECK(numbers_kept(*store, 5) == Numbers{5});
}

TEST_CASE("store contract: the bytes of a task that is retried count again from its new end") {
  EachStore store;
  for (std::uint64_t n = 1; n <= 2; ++n) save(*store, large_record(n), true, std::chrono::seconds(n));
  Writes again;
  const TaskRecord retried = record(1);
  again.tasks.push_back({&retried, {}, {}, false});
  again.revived = 1;
  REQUIRE(store->commit(again));
  const Retention one{100h, 1000, 2 * large};
  CHECK(store->purge(one, 1h, 100)->tasks == 0);
  save(*store, large_record(1), false, 3h);
  CHECK(store->purge(one, 3h, 100)->tasks == 1);
  CHECK(numbers_kept(*store, 2) == Numbers{1});
}

TEST_CASE("store contract: bytes whose commit or removal failed at first count once") {
  EachStore store;
  const Retention one{100h, 1000, 2 * large};
  const TaskRecord first = large_record(1);
  Writes writes;
  writes.tasks.push_back(created(first));
  store.break_writes(true);
  CHECK_FALSE(store->commit(writes));
  CHECK_FALSE(store->commit(writes));
  store.break_writes(false);
  REQUIRE(store->commit(writes));
  CHECK(store->purge(one, 1h, 100)->tasks == 0);
  save(*store, large_record(2), true, 1h);
  store.break_writes(true);
  CHECK_FALSE(store->purge(one, 1h, 100));
  store.break_writes(false);
  CHECK(store->purge(one, 1h, 100)->tasks == 1);
  CHECK(store->purge(one, 1h, 100)->tasks == 0);
}

TEST_CASE("store contract: what removed tasks leave is reusable, and new tasks use it") {
  EachStore store;
  for (std::uint64_t n = 1; n <= 20; ++n) save(*store, large_record(n), true, std::chrono::seconds(n));
  const auto before = store->reusable();
  REQUIRE(before);
  REQUIRE(store->purge({100h, 0}, 1h, 100)->tasks == 20);
  const auto after = store->reusable();
  REQUIRE(after);
  CHECK(*after >= *before + 15 * large);
  for (std::uint64_t n = 21; n <= 30; ++n) save(*store, large_record(n), true, 1h);
  CHECK(*store->reusable() <= *after - 7 * large);
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
