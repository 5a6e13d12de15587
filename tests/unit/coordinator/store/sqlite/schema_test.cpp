// Migration of older databases, and refusal of others.
#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "coordinator/store/data/directory.hpp"
#include "coordinator/store/sqlite/schema.hpp"
#include "coordinator/store/sqlite/sqlite.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/records.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;

namespace {

// The exact schema of version 1.
constexpr const char* version_1 = R"sql(
CREATE TABLE specs (
  id BLOB PRIMARY KEY, capability TEXT NOT NULL, input TEXT NOT NULL, name TEXT NOT NULL, priority INTEGER NOT NULL,
  timeout_ns INTEGER NOT NULL, expires_after_ns INTEGER, delay_ns INTEGER NOT NULL, max_attempts INTEGER NOT NULL,
  conditions TEXT NOT NULL, submitter TEXT NOT NULL, idempotency_key TEXT, batch BLOB, accepted_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX specs_by_key ON specs (submitter, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE tasks (
  id BLOB PRIMARY KEY, state INTEGER NOT NULL, rank INTEGER NOT NULL, allowed_attempts INTEGER NOT NULL,
  due_in_ns INTEGER, expires_in_ns INTEGER, ended_at INTEGER, attempts TEXT NOT NULL, output TEXT, error TEXT,
  usage TEXT, run_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tasks_failed ON tasks (id) WHERE state = 6;
CREATE TABLE batches (
  id BLOB PRIMARY KEY, submitter TEXT NOT NULL, idempotency_key TEXT, fingerprint TEXT NOT NULL, first BLOB NOT NULL,
  last BLOB NOT NULL, total INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX batches_by_key ON batches (submitter, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE artifact_names (artifact TEXT NOT NULL, task BLOB NOT NULL, PRIMARY KEY (artifact, task)) WITHOUT ROWID;
CREATE TABLE drained (agent TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE reign (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL);
INSERT INTO reign VALUES (1, 7);
INSERT INTO drained VALUES ('pi-9');
INSERT INTO specs VALUES
 (x'00000000000000050000000000000001', 'work', '{"n":1}', 'later', 2, 60000000000, NULL, 86400000000000, 3, '{}', 'http', 'k', NULL, 1700000000000),
 (x'00000000000000050000000000000002', 'work', '{"n":2}', '', 0, 60000000000, 5000000000, 0, 3, '{"room":"cellar"}', 'http', NULL, NULL, 1700000000001),
 (x'00000000000000050000000000000003', 'work', '{"n":3}', '', 0, 60000000000, NULL, 0, 3, '{}', 'http', NULL, NULL, 1700000000002);
INSERT INTO tasks VALUES
 (x'00000000000000050000000000000001', 0, 10, 3, 7200000000000, NULL, NULL, '[]', NULL, NULL, NULL, 0),
 (x'00000000000000050000000000000002', 1, 20, 3, NULL, 4000000000, NULL, '[]', NULL, NULL, NULL, 0),
 (x'00000000000000050000000000000003', 5, 30, 3, NULL, NULL, 1700000005000,
  '[{"n":1,"agent":"pi-1","session":"s","state":"succeeded","spent":true,"assigned_at":1700000001000,"ended_at":1700000005000}]',
  '{"answer":42}', NULL, NULL, 4000000000);
PRAGMA user_version = 1;
)sql";

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TaskId id(std::uint64_t n) { return TaskId{Ulid{5, n}}; }

}  // namespace

TEST_CASE("a database of version 1 is migrated with everything in it, and a copy of it is kept beside it") {
  const test::TemporaryFolder folder;
  const std::string path = database_path(folder.path());
  SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec(version_1);
  std::vector<std::string> told;
  auto store = open_sqlite_store(folder.path(), [&](const std::string& text) { told.push_back(text); });
  REQUIRE(store);
  CHECK_FALSE(told.empty());
  CHECK((*store)->reign()->epoch == 7);
  CHECK(*(*store)->clock() == 0s);
  CHECK((*store)->drained_agents()->size() == 1);
  const auto unfinished = (*store)->unfinished({}, 100);
  REQUIRE(unfinished->size() == 2);
  CHECK(unfinished->at(0).due_in == 2h);
  CHECK(unfinished->at(0).spec.delay == 24h);
  CHECK(unfinished->at(0).idempotency_key == "k");
  CHECK(unfinished->at(1).expires_in == 4s);
  CHECK(unfinished->at(1).spec.where == Where{{"room", "cellar"}});
  const auto ended = (*store)->reads().task(id(3));
  REQUIRE((ended && *ended));
  CHECK((**ended).output == R"({"answer":42})");
  CHECK((**ended).attempts.size() == 1);
  // Tasks that had ended before count as ended at the start of the clock.
  CHECK((*store)->purge(Retention{1h, 1000}, 59min, 10)->tasks == 0);
  CHECK((*store)->purge(Retention{1h, 1000}, 1h, 10)->tasks == 1);

  SQLite::Database copy(path + ".schema-1", SQLite::OPEN_READONLY);
  CHECK(copy.execAndGet("PRAGMA user_version").getInt() == 1);
  CHECK(copy.execAndGet("SELECT epoch FROM reign").getInt() == 7);
  CHECK(copy.execAndGet("SELECT count(*) FROM tasks").getInt() == 3);
}

TEST_CASE("a migrated task counts with the same bytes as one that ends afterwards") {
  const test::TemporaryFolder folder;
  const std::string path = database_path(folder.path());
  SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec(version_1);
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  TaskRecord record = test::record(4);
  record.state = TaskState::failed;
  record.ended_at = WallTime{1'700'000'000'000};
  record.spec.name = "näme";
  record.output = R"({"answer":"ü"})";
  record.error = TaskError{"failed", "é", false, {}};
  record.usage = R"({"tokens":42})";
  test::save(**store, record);
  SQLite::Database db(path, SQLite::OPEN_READWRITE);
  const std::string all = "SELECT group_concat(bytes) FROM (SELECT bytes FROM tasks ORDER BY id)";
  const std::string before = db.execAndGet(all).getString();
  CHECK(std::count(before.begin(), before.end(), ',') == 1);  // unfinished tasks have none
  db.exec("UPDATE tasks SET bytes = NULL");
  db.exec(count_bytes);
  CHECK(db.execAndGet(all).getString() == before);
}

TEST_CASE("a migration that fails leaves the database as it was") {
  const test::TemporaryFolder folder;
  const std::string path = database_path(folder.path());
  SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec(version_1);
  SQLite::Database(path, SQLite::OPEN_READWRITE).exec("CREATE TABLE meta (in_the_way INTEGER)");
  CHECK_FALSE(open_sqlite_store(folder.path()));
  SQLite::Database db(path, SQLite::OPEN_READWRITE);
  CHECK(db.execAndGet("PRAGMA user_version").getInt() == 1);
  CHECK(db.execAndGet("SELECT epoch FROM reign").getInt() == 7);
  db.exec("DROP TABLE meta");
  CHECK(open_sqlite_store(folder.path()));
}

TEST_CASE("a newer schema is refused with both versions named, and not touched") {
  const test::TemporaryFolder folder;
  const std::string path = database_path(folder.path());
  SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE)
      .exec("CREATE TABLE specs (future); CREATE TABLE tasks (future); PRAGMA user_version = 99");
  const std::string before = content(path);
  const auto refused = open_sqlite_store(folder.path());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("newer") != std::string::npos);
  CHECK(refused.error().message.find("99") != std::string::npos);
  CHECK(refused.error().message.find(std::to_string(newest_schema())) != std::string::npos);
  CHECK(content(path) == before);
}

TEST_CASE("a database of another program is refused, and not touched") {
  const test::TemporaryFolder folder;
  const std::string path = database_path(folder.path());
  SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec("CREATE TABLE photos (id INTEGER)");
  const std::string before = content(path);
  const auto refused = open_sqlite_store(folder.path());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("is not a database of edgefleet") != std::string::npos);
  CHECK(content(path) == before);
}

TEST_CASE("a damaged file is refused with advice on how to restore, and not touched") {
  const test::TemporaryFolder folder;
  const std::string path = database_path(folder.path());
  for (const char filling : {'x', '\0'}) {
    std::ofstream(path, std::ios::trunc) << std::string(8192, filling);
    const auto refused = open_sqlite_store(folder.path());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("damaged") != std::string::npos);
    CHECK(refused.error().message.find("edgefleet-coordinator check") != std::string::npos);
    CHECK(refused.error().message.find("edgefleet-coordinator restore") != std::string::npos);
    CHECK(content(path) == std::string(8192, filling));
  }
}
