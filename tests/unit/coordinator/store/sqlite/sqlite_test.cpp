// What only SQLite does. What every store does is in ../contract_*_test.cpp.
#include "coordinator/store/sqlite/sqlite.hpp"

#include <array>
#include <fstream>
#include <iterator>

#include "tests/support/catch.hpp"
#include "tests/support/records.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;
using test::record;
using test::save;

namespace {

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::unique_ptr<Store> open(const std::string& data) {
  auto store = open_sqlite_store(data);
  REQUIRE(store);
  return std::move(*store);
}

// Whether all of the second commit below is there; fails if it is there in part.
bool whole(Store& store) {
  const std::array parts = {store.reads().task(record(2).id)->has_value(),
                            store.reads().task(record(101).id)->has_value(),
                            store.reads().batch(BatchId{Ulid{4, 1}})->has_value(),
                            store.drained_agents()->size() == 1,
                            store.reign()->epoch == 2,
                            *store.clock() == 2h};
  for (const bool part : parts) CHECK(part == parts.front());
  return parts.front();
}

}  // namespace

TEST_CASE("a commit that a power failure cuts at any page is there whole or not at all") {
  const test::TemporaryFolder folder;
  auto store = open(folder.path() + "/data");
  Writes first;
  first.reign = Reign{1, {}};
  first.clock = 1h;
  REQUIRE(store->commit(first));
  const std::string log_path = database_path(folder.path() + "/data") + "-wal";
  const std::size_t before = content(log_path).size();
  std::vector<TaskRecord> records;
  for (std::uint64_t n = 2; n <= 101; ++n) records.push_back(record(n));
  Writes second;
  for (const TaskRecord& r : records) second.tasks.push_back({&r, {}, {}, true});
  second.batches.push_back({BatchId{Ulid{4, 1}}, "test", "", "print", records.front().id, records.back().id, 100});
  second.drained = {{*AgentName::parse("pi-1"), true}};
  second.reign = Reign{2, *SessionId::parse("second")};
  second.clock = 2h;
  REQUIRE(store->commit(second));
  const std::string database = content(database_path(folder.path() + "/data"));
  const std::string log = content(log_path);
  const std::size_t page = 4096 + 24;
  REQUIRE(log.size() >= before + 10 * page);
  for (std::size_t length = before; length <= log.size(); length += page / 2) {
    CAPTURE(length, log.size());
    const test::TemporaryFolder cut;
    std::ofstream(database_path(cut.path()), std::ios::binary) << database;
    std::ofstream(database_path(cut.path()) + "-wal", std::ios::binary) << log.substr(0, length);
    const auto after = open(cut.path());
    CHECK(whole(*after) == (length == log.size()));
    CHECK(after->reign()->epoch >= 1);
  }
}

TEST_CASE("a directory that is in use is refused with a message") {
  const test::TemporaryFolder folder;
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  const auto second = open_sqlite_store(folder.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("another coordinator") != std::string::npos);
}
