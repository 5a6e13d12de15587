// The store's own clock, and the removal of old tasks.
#include <SQLiteCpp/SQLiteCpp.h>

#include "coordinator/store/data/directory.hpp"
#include "coordinator/store/sqlite/sqlite.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/records.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;
using test::record;
using test::save;

namespace {

std::unique_ptr<Store> open(const test::TemporaryFolder& folder) {
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  return std::move(*store);
}

TaskRecord ended(std::uint64_t n, TaskState state = TaskState::succeeded) {
  TaskRecord r = record(n);
  r.state = state;
  r.ended_at = WallTime{1'700'000'000'000};
  return r;
}

bool kept(Store& store, std::uint64_t n) {
  const auto found = store.reads().task(record(n).id);
  REQUIRE(found);
  return found->has_value();
}

}  // namespace

TEST_CASE("a deadline approaches by the time that coordinators run, across restarts") {
  const test::TemporaryFolder folder;
  TaskRecord r = record(1);
  r.state = TaskState::scheduled;
  r.due_in = 24h;
  {
    auto store = open(folder);
    save(*store, r, true, 1h);
    REQUIRE(store->keep_time(21h));  // it ran twenty hours more, and nothing happened
  }
  {
    auto store = open(folder);
    CHECK(*store->clock() == 21h);
    CHECK(store->unfinished({}, 100)->front().due_in == 4h);
    REQUIRE(store->keep_time(26h));
  }
  CHECK(open(folder)->unfinished({}, 100)->front().due_in == 0s);  // passed
}

TEST_CASE("every commit advances the clock") {
  const test::TemporaryFolder folder;
  auto store = open(folder);
  save(*store, record(1), true, 5s);
  CHECK(*store->clock() == 5s);
}

TEST_CASE("ended tasks are removed when they are old enough, failed ones too; unfinished ones never are") {
  const test::TemporaryFolder folder;
  auto store = open(folder);
  TaskRecord keyed = ended(1);
  keyed.idempotency_key = "k";
  keyed.output = R"({"image":{"artifact":"sha256-a"}})";
  save(*store, keyed, true, 1h);
  save(*store, ended(2, TaskState::failed), true, 1h);
  save(*store, record(3), true, 1h);
  save(*store, ended(4), true, 3h);
  const Retention days{2h, 1000};
  CHECK(store->purge(days, 3h - 1ms, 100)->tasks == 0);
  CHECK(store->purge(days, 3h, 100)->tasks == 2);
  CHECK_FALSE(kept(*store, 1));
  CHECK_FALSE(kept(*store, 2));
  CHECK(kept(*store, 3));
  CHECK(kept(*store, 4));
  CHECK_FALSE(store->reads().task_by_key("test", "k")->has_value());
  CHECK_FALSE(*store->reads().artifact_named("sha256-a"));
  SQLite::Database db(database_path(folder.path()), SQLite::OPEN_READONLY);
  CHECK(db.execAndGet("SELECT count(*) FROM specs").getInt() == 2);
}

TEST_CASE(
    "beyond the number to keep the oldest go first, a bounded number at a time, and the count outlives a restart") {
  const test::TemporaryFolder folder;
  {
    auto store = open(folder);
    for (std::uint64_t n = 1; n <= 10; ++n) save(*store, ended(n), true, std::chrono::seconds(n));
  }
  auto store = open(folder);
  const Retention number{100h, 4};
  const auto first = store->purge(number, 1h, 4);
  CHECK(first->tasks == 4);
  CHECK(first->more);
  CHECK(store->purge(number, 1h, 4)->tasks == 2);
  CHECK(store->purge(number, 1h, 4)->tasks == 0);
  CHECK_FALSE(kept(*store, 6));
  CHECK(kept(*store, 7));

  // A manual retry removes a task from the count; its new end adds it again.
  Writes again;
  TaskRecord retried = record(7);
  again.tasks.push_back({&retried, {}, {}, false});
  again.revived = 1;
  REQUIRE(store->commit(again));
  save(*store, ended(11), true, 2h);
  CHECK(store->purge(number, 2h, 4)->tasks == 0);
  save(*store, ended(7), false, 3h);
  CHECK(store->purge(number, 3h, 4)->tasks == 1);
  CHECK_FALSE(kept(*store, 8));
  CHECK(kept(*store, 7));
}

TEST_CASE("a batch is removed with the last of its tasks") {
  const test::TemporaryFolder folder;
  auto store = open(folder);
  const BatchId id{Ulid{4, 1}};
  std::vector<TaskRecord> records = {ended(1), ended(2), record(3)};
  Writes writes;
  for (auto& r : records) {
    r.batch = id;
    writes.tasks.push_back({&r, {}, {}, true});
  }
  writes.batches.push_back({id, "test", "key", "print", records.front().id, records.back().id, 3});
  REQUIRE(store->commit(writes));
  const Retention none{0s, 1000};
  CHECK(store->purge(none, 1s, 100)->tasks == 2);
  CHECK(store->reads().batch(id)->has_value());
  records.back().state = TaskState::failed;
  save(*store, records.back(), false, 1s);
  CHECK(store->purge(none, 2s, 100)->tasks == 1);
  CHECK_FALSE(store->reads().batch(id)->has_value());
  CHECK_FALSE(store->reads().batch_by_key("test", "key")->has_value());
}

TEST_CASE("freed space is reused: the file stops growing") {
  const test::TemporaryFolder folder;
  auto store = open(folder);
  const auto pages = [&] {
    return SQLite::Database(database_path(folder.path()), SQLite::OPEN_READONLY)
        .execAndGet("PRAGMA page_count")
        .getInt();
  };
  std::uint64_t n = 0;
  const auto round = [&] {
    for (int i = 0; i < 50; ++i) {
      TaskRecord r = ended(++n);
      r.output = std::string(20'002, 'x');
      r.output.front() = r.output.back() = '"';
      save(*store, r, true, std::chrono::milliseconds(n));
    }
    while (store->purge(Retention{1000h, 50}, 1h, 16)->tasks > 0) {
    }
  };
  round();
  round();
  const int after_two = pages();
  for (int i = 0; i < 5; ++i) round();
  CHECK(pages() <= after_two + after_two / 10);
}
