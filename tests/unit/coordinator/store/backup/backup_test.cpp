// Backup, restore and check on real files.
#include "coordinator/store/backup/backup.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "coordinator/store/artifacts/artifacts.hpp"
#include "coordinator/store/artifacts/files.hpp"
#include "coordinator/store/backup/check.hpp"
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

namespace fs = std::filesystem;

std::unique_ptr<Store> open(const std::string& data) {
  auto store = open_sqlite_store(data);
  if (!store) FAIL(store.error().message);
  return std::move(*store);
}

std::string put(const std::string& data, const std::string& content) {
  auto artifacts = Artifacts::open(data, {});
  REQUIRE(artifacts);
  auto upload = (*artifacts)->upload();
  REQUIRE(upload->write(content.data(), content.size()));
  const auto stored = upload->finish();
  REQUIRE(stored);
  return stored->id;
}

TaskRecord assigned(std::uint64_t n, int max_attempts) {
  TaskRecord r = record(n);
  r.state = TaskState::running;
  r.spec.max_attempts = max_attempts;
  Attempt attempt;
  attempt.agent = *AgentName::parse("pi-1");
  attempt.session = *SessionId::parse("life");
  attempt.state = AttemptState::running;
  r.attempts = {attempt};
  return r;
}

std::string message_of(const Result<CheckReport>& report) {
  std::string all;
  for (const auto& problem : report->problems) all += problem + "\n";
  return all;
}

}  // namespace

TEST_CASE("a backup is made while the store is written to, and holds a consistent state") {
  const test::TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  const std::string to = folder.path() + "/backup";
  auto store = open(data);
  const std::string artifact = put(data, "picture");
  for (std::uint64_t n = 1; n <= 200; ++n) save(*store, record(n));
  std::jthread writing([&](const std::stop_token& stop) {
    for (std::uint64_t n = 201; !stop.stop_requested(); ++n) save(*store, record(n));
  });
  const auto made = back_up(data, to, {});
  writing.request_stop();
  writing.join();
  REQUIRE(made);
  CHECK(made->tasks >= 200);
  CHECK(made->artifacts == 1);
  CHECK(fs::exists(artifact_path(artifacts_path(to), artifact)));
  CHECK_FALSE(fs::exists(to + ".partial"));
  const auto checked = check_data(to, {});
  REQUIRE(checked);
  INFO(message_of(checked));
  CHECK(checked->problem_count == 0);
  CHECK(checked->tasks == made->tasks);

  const auto again = back_up(data, to, {});
  REQUIRE_FALSE(again);
  CHECK(again.error().message.find("already exists") != std::string::npos);
  const auto alone = back_up(data, folder.path() + "/only.db", {});
  REQUIRE(alone);
  CHECK_FALSE(alone->with_artifacts);
  CHECK(fs::is_regular_file(folder.path() + "/only.db"));
  CHECK_FALSE(back_up(folder.path() + "/nothing", folder.path() + "/x", {}));
}

TEST_CASE("after a restore unfinished tasks are held, and tasks that agents had are no longer assigned to them") {
  const test::TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  const std::string backup = folder.path() + "/backup";
  {
    auto store = open(data);
    save(*store, record(1), true, 5h);
    save(*store, assigned(2, 3), true, 5h);
    save(*store, assigned(3, 1), true, 5h);
    TaskRecord cancelling = assigned(4, 3);
    cancelling.state = TaskState::cancelling;
    save(*store, cancelling, true, 5h);
    TaskRecord done = record(5);
    done.state = TaskState::succeeded;
    save(*store, done, true, 5h);
    REQUIRE(back_up(data, backup, {}));
  }
  const std::string elsewhere = folder.path() + "/elsewhere";
  const auto restored = restore(backup, elsewhere, false, {});
  REQUIRE(restored);
  CHECK(restored->tasks == 5);
  CHECK(restored->held == 2);
  CHECK(restored->unknown == 1);
  CHECK(restored->replaced.empty());
  {
    auto store = open(elsewhere);
    CHECK(*store->clock() == 5h);
    CHECK(*store->held() == std::vector<TaskId>{record(1).id, record(2).id});
    const auto second = store->reads().task(record(2).id);
    CHECK((**second).state == TaskState::queued);
    CHECK((**second).attempts.front().state == AttemptState::lost);
    CHECK_FALSE((**second).attempts.front().spent);
    const auto once = store->reads().task(record(3).id);
    CHECK((**once).state == TaskState::failed);
    CHECK((**once).error->code == "outcome_unknown");
    CHECK(SQLite::Database(database_path(elsewhere), SQLite::OPEN_READONLY)
              .execAndGet("SELECT count(*) FROM tasks WHERE (ended_at_ms IS NULL) != (bytes IS NULL)")
              .getInt() == 0);
    CHECK((**store->reads().task(record(4).id)).state == TaskState::cancelling);
    CHECK((**store->reads().task(record(5).id)).state == TaskState::succeeded);
    // Ended tasks are no longer held, and a release ends it for all.
    TaskRecord one = record(1);
    one.state = TaskState::cancelled;
    save(*store, one, false, 6h);
    CHECK(store->held()->size() == 1);
    Writes release;
    release.released = true;
    release.clock = 6h;
    REQUIRE(store->commit(release));
    CHECK(store->held()->empty());
    CHECK(store->purge(Retention{0s, 100}, 7h, 10)->tasks == 3);
  }
  const auto checked = check_data(elsewhere, {});
  INFO(message_of(checked));
  CHECK(checked->problem_count == 0);
}

TEST_CASE("a restore replaces data only with force, and keeps the replaced data") {
  const test::TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  const std::string backup = folder.path() + "/backup";
  std::string artifact;
  {
    auto store = open(data);
    artifact = put(data, "old");
    save(*store, record(1));
    REQUIRE(back_up(data, backup, {}));
    save(*store, record(2));
    const auto in_use = restore(backup, data, true, {});
    REQUIRE_FALSE(in_use);
    CHECK(in_use.error().message.find("in use") != std::string::npos);
  }
  const auto refused = restore(backup, data, false, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("--force") != std::string::npos);
  CHECK(open(data)->reads().task(record(2).id)->has_value());

  const auto restored = restore(backup, data, true, {});
  REQUIRE(restored);
  CHECK(restored->replaced == data + "/replaced-1");
  CHECK_FALSE(open(data)->reads().task(record(2).id)->has_value());
  CHECK(fs::exists(artifact_path(artifacts_path(restored->replaced), artifact)));
  // And back again, from the data that was kept.
  REQUIRE(restore(restored->replaced, data, true, {}));
  CHECK(open(data)->reads().task(record(2).id)->has_value());
}

TEST_CASE("a damaged backup is refused before anything is touched") {
  const test::TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  save(*open(data), record(1));
  const std::string bad = folder.path() + "/bad.db";
  std::ofstream(bad) << std::string(8192, 'x');
  const auto refused = restore(bad, data, true, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("damaged") != std::string::npos);
  CHECK(open(data)->reads().task(record(1).id)->has_value());
  CHECK_FALSE(fs::exists(data + "/replaced-1"));
  CHECK_FALSE(restore(folder.path() + "/nowhere", data, true, {}));
}

TEST_CASE("a coordinator does not start with an empty database where a restore was interrupted") {
  const test::TemporaryFolder folder;
  save(*open(folder.path()), record(1));
  fs::rename(database_path(folder.path()), restoring_path(folder.path()));
  const auto refused = open_sqlite_store(folder.path());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("only partly restored") != std::string::npos);
}

TEST_CASE("an emptied database is not taken for a new one, and is not a backup") {
  const test::TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  save(*open(data), record(1));
  put(data, "a file");
  fs::resize_file(database_path(data), 0);
  std::ofstream(database_path(data) + "-wal") << "what was committed last";
  const auto refused = open_sqlite_store(data);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("is empty or missing") != std::string::npos);
  CHECK(fs::file_size(database_path(data) + "-wal") > 0);
  fs::remove(database_path(data) + "-wal");
  CHECK_FALSE(open_sqlite_store(data));
  REQUIRE(check_data(data, {}));
  CHECK(message_of(check_data(data, {})).find("empty") != std::string::npos);
  const auto restored = restore(data, folder.path() + "/other", false, {});
  REQUIRE_FALSE(restored);
  CHECK(restored.error().message.find("empty") != std::string::npos);

  // A first start that was killed before it wrote anything.
  std::ofstream(folder.path() + "/edgefleet.db").flush();
  CHECK(open_sqlite_store(folder.path()));
}

TEST_CASE("a copy of only the database can be checked") {
  const test::TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  const std::string copy = folder.path() + "/copy.db";
  const std::string artifact = put(data, "a file");
  TaskRecord r = record(1);
  r.spec.input = R"({"artifact":")" + artifact + R"("})";
  save(*open(data), r);
  REQUIRE(back_up(data, copy, {}));
  const auto good = check_data(copy, {});
  REQUIRE(good);
  CHECK(good->tasks == 1);
  CHECK(good->problem_count == 0);  // it is not expected to have artifacts
  SQLite::Database(copy, SQLite::OPEN_READWRITE).exec("UPDATE tasks SET attempts = 'nonsense'");
  const auto bad = check_data(copy, {});
  REQUIRE(bad);
  CHECK(bad->problem_count == 1);
  CHECK_FALSE(bad->advice.empty());
}

TEST_CASE("check finds damaged, missing and corrupt data and broken references, and gives advice") {
  const test::TemporaryFolder folder;
  const std::string& data = folder.path();
  const std::string good = put(data, "good");
  const std::string bad = put(data, "bad");
  {
    auto store = open(data);
    TaskRecord r = record(1);
    r.spec.input = R"({"a":{"artifact":")" + good + R"("},"b":{"artifact":")" + bad + R"("}})";
    save(*store, r);
    save(*store, record(2));
    save(*store, record(3));
  }
  REQUIRE(check_data(data, {}));
  CHECK(check_data(data, {})->problem_count == 0);

  std::ofstream(artifact_path(artifacts_path(data), bad), std::ios::app) << "spoilt";
  fs::remove(artifact_path(artifacts_path(data), good));
  SQLite::Database(database_path(data), SQLite::OPEN_READWRITE)
      .exec(
          "UPDATE tasks SET attempts = 'nonsense' WHERE id = x'00000000000000050000000000000002';"
          "DELETE FROM specs WHERE id = x'00000000000000050000000000000003'");
  const auto report = check_data(data, {});
  REQUIRE(report);
  const std::string said = message_of(report);
  INFO(said);
  CHECK(report->problem_count == 4);
  CHECK(said.find(good + " is missing") != std::string::npos);
  CHECK(said.find(bad + " is corrupt") != std::string::npos);
  CHECK(said.find(record(2).id.str() + ": the attempts") != std::string::npos);
  CHECK(said.find(record(3).id.str() + " has a state but no description") != std::string::npos);
  CHECK(report->advice.size() >= 3);

  // A hole in the middle of the file, like those of a worn card.
  std::fstream file(database_path(data), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096 + 8);
  file << std::string(20'000, '\x5a');
  file.close();
  const auto damaged = check_data(data, {});
  REQUIRE(damaged);
  CHECK(message_of(damaged).find("database") != std::string::npos);
  CHECK_FALSE(damaged->advice.empty());
  CHECK_FALSE(back_up(data, data + "-backup", {}));
}
