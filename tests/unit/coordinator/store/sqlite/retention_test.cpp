// The space of removed tasks. Which tasks are removed is in ../contract_retention_test.cpp.
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

TaskRecord ended(std::uint64_t n) {
  TaskRecord r = record(n);
  r.state = TaskState::succeeded;
  r.ended_at = WallTime{1'700'000'000'000};
  return r;
}

}  // namespace

TEST_CASE("a task that is removed leaves no row in any table") {
  const test::TemporaryFolder folder;
  auto store = open(folder);
  SQLite::Database db(database_path(folder.path()), SQLite::OPEN_READONLY);
  const auto rows = [&](const std::string& table) { return db.execAndGet("SELECT count(*) FROM " + table).getInt(); };
  TaskRecord r = ended(1);
  r.batch = BatchId{Ulid{4, 1}};
  r.output = R"({"image":{"artifact":"sha256-a"}})";
  Writes writes;
  writes.tasks.push_back({&r, {}, {}, true});
  writes.batches.push_back({*r.batch, "test", "key", "print", r.id, r.id, 1});
  REQUIRE(store->commit(writes));
  for (const char* table : {"tasks", "specs", "artifact_names", "batches"}) CHECK(rows(table) == 1);
  REQUIRE(store->purge(Retention{0s, 1000}, 1s, 100)->tasks == 1);
  for (const char* table : {"tasks", "specs", "artifact_names", "batches"}) CHECK(rows(table) == 0);
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
