#include <SQLiteCpp/SQLiteCpp.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <ranges>
#include <thread>

#include "common/system/clock.hpp"
#include "coordinator/store/artifacts/artifacts.hpp"
#include "coordinator/store/attempts.hpp"
#include "coordinator/store/sqlite/sqlite.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/records.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;
using test::record;
using test::save;

TEST_CASE("a task is read back from the store with all its fields") {
  const test::TemporaryFolder folder;
  TaskRecord r = record(1);
  r.expires_in = 3s;
  Attempt attempt;
  attempt.agent = *AgentName::parse("pi-1");
  attempt.session = *SessionId::parse("life");
  attempt.state = AttemptState::failed;
  attempt.assigned_at = WallTime{5};
  attempt.ended_at = WallTime{6};
  attempt.error = TaskError{"code", "message \"quoted\"", true, 1500ms};
  r.attempts = {attempt};
  {
    auto store = open_sqlite_store(folder.path());
    REQUIRE(store);
    save(**store, r);
    r.state = TaskState::assigned;
    save(**store, r, false);
  }
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  const auto back = (*store)->reads().task(r.id);
  REQUIRE(back);
  REQUIRE(back->has_value());
  CHECK((**back).spec == r.spec);
  CHECK((**back).attempts == r.attempts);
  CHECK((**back).state == TaskState::assigned);
  const auto unfinished = (*store)->unfinished({}, 100);
  REQUIRE(unfinished->size() == 1);
  CHECK(unfinished->front().expires_in == 3s);
}

TEST_CASE("an idempotency key finds its task, for its submitter only") {
  const test::TemporaryFolder folder;
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  TaskRecord r = record(1);
  r.idempotency_key = "k";
  save(**store, r);
  CHECK((*store)->reads().task_by_key("test", "k")->has_value());
  CHECK_FALSE((*store)->reads().task_by_key("other", "k")->has_value());
  CHECK_FALSE((*store)->reads().task_by_key("test", "")->has_value());
}

TEST_CASE("a batch is counted by state, and listed newest first page by page") {
  const test::TemporaryFolder folder;
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  const BatchId batch{Ulid{4, 1}};
  Writes writes;
  std::vector<TaskRecord> records;
  for (std::uint64_t i = 0; i < 10; ++i) {
    records.push_back(record(i));
    records.back().batch = batch;
    records.back().state = i < 4 ? TaskState::succeeded : TaskState::queued;
  }
  for (const auto& r : records) writes.tasks.push_back({&r, {}, {}, true});
  writes.batches.push_back({batch, "test", "key", "print", records.front().id, records.back().id, 10});
  REQUIRE((*store)->commit(writes));
  const auto found = (*store)->reads().batch(batch);
  REQUIRE((found && *found));
  const auto counts = (*store)->reads().batch_counts(**found);
  CHECK(counts->at(static_cast<std::size_t>(TaskState::succeeded)) == 4);
  CHECK(counts->at(static_cast<std::size_t>(TaskState::queued)) == 6);
  TaskQuery query;
  query.batch = batch;
  query.limit = 6;
  const auto page = (*store)->reads().tasks(query);
  REQUIRE(page->size() == 6);
  CHECK(page->front().id == records.back().id);
  query.before = page->back().id;
  CHECK((*store)->reads().tasks(query)->size() == 4);
}

TEST_CASE("lists by state, capability and batch contain exactly the matching tasks") {
  const test::TemporaryFolder folder;
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  const BatchId batch{Ulid{4, 1}};
  const std::array states = {TaskState::queued, TaskState::succeeded, TaskState::failed, TaskState::expired};
  const std::array capabilities = {*Capability::parse("work"), *Capability::parse("other")};
  Writes writes;
  std::vector<TaskRecord> records;
  for (std::uint64_t i = 0; i < 40; ++i) {
    records.push_back(record(i));
    records.back().state = states.at(i % 4);
    records.back().spec.capability = capabilities.at(i / 4 % 2);
    if (i >= 10 && i < 30) records.back().batch = batch;
  }
  for (const auto& r : records) writes.tasks.push_back({&r, {}, {}, true});
  writes.batches.push_back({batch, "test", "", "print", records[10].id, records[29].id, 20});
  REQUIRE((*store)->commit(writes));
  const auto check = [&](std::optional<TaskState> state, std::optional<Capability> capability, bool of_batch) {
    TaskQuery query{state, capability, of_batch ? std::optional(batch) : std::nullopt, {}, 3};
    std::vector<TaskId> listed;
    for (bool more = true; more;) {
      const auto page = (*store)->reader()->tasks(query);
      REQUIRE(page);
      for (const auto& r : *page) listed.push_back(r.id);
      more = page->size() == 3;
      if (more) query.before = page->back().id;
    }
    std::vector<TaskId> expected;
    for (const auto& r : records | std::views::reverse) {
      if (state && r.state != *state) continue;
      if (capability && r.spec.capability != *capability) continue;
      if (of_batch && r.batch != batch) continue;
      expected.push_back(r.id);
    }
    CHECK(listed == expected);
  };
  for (const std::optional<TaskState> state :
       {std::optional<TaskState>{}, std::optional(TaskState::queued), std::optional(TaskState::failed),
        std::optional(TaskState::expired), std::optional(TaskState::cancelled)}) {
    for (const bool of_batch : {false, true}) {
      check(state, {}, of_batch);
      check(state, capabilities[0], of_batch);
      check(state, Capability::parse("none"), of_batch);
    }
  }
}

TEST_CASE("a reader is used by one thread at a time, and the next one waits for it") {
  const test::TemporaryFolder folder;
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  save(**store, record(1));
  std::atomic<int> found{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 12; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const auto task = (*store)->reader()->task(record(1).id);
        if (task && *task) ++found;
      }
    });
  }
  for (std::uint64_t i = 2; i < 60; ++i) save(**store, record(i));
  threads.clear();
  CHECK(found == 12 * 50);
}

TEST_CASE("a commit is all or nothing") {
  const test::TemporaryFolder folder;
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  TaskRecord one = record(1);
  one.idempotency_key = "same";
  save(**store, one);
  TaskRecord two = record(2);
  TaskRecord broken = record(3);
  SQLite::Database other(folder.path() + "/edgefleet.db", SQLite::OPEN_READWRITE);
  other.exec(
      "CREATE TRIGGER refuse BEFORE INSERT ON specs WHEN NEW.name = 'broken' BEGIN SELECT RAISE(ABORT, 'no'); END");
  broken.spec.name = "broken";
  Writes writes;
  writes.tasks = {{&two, {}, {}, true}, {&broken, {}, {}, true}};
  CHECK_FALSE((*store)->commit(writes));
  CHECK_FALSE((*store)->reads().task(two.id)->has_value());
  other.exec("DROP TRIGGER refuse");
  CHECK((*store)->commit(writes));
  CHECK((*store)->reads().task(two.id)->has_value());
}

TEST_CASE("a directory that is in use is refused with a message") {
  const test::TemporaryFolder folder;
  auto store = open_sqlite_store(folder.path());
  REQUIRE(store);
  const auto second = open_sqlite_store(folder.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("another coordinator") != std::string::npos);
}

TEST_CASE("an upload no longer reserves any quota once its answer is sent") {
  const test::TemporaryFolder folder;
  Artifacts::Bounds bounds;
  bounds.total_bytes = 10;
  const auto artifacts = Artifacts::open(folder.path(), bounds);
  REQUIRE(artifacts);
  const auto first = (*artifacts)->upload();
  REQUIRE(first->write("123456", 6));
  REQUIRE(first->finish());
  const auto second = (*artifacts)->upload();
  CHECK(second->write("abcd", 4));
  CHECK_FALSE(second->write("e", 1));
  const auto third = (*artifacts)->upload();
  CHECK(third->write("efgh", 4));
}

TEST_CASE("an artifact is stored by its content, within its bounds, as long as a lease or a task needs it") {
  const test::TemporaryFolder folder;
  Artifacts::Bounds bounds;
  bounds.file_bytes = 100;
  bounds.total_bytes = 150;
  auto artifacts = Artifacts::open(folder.path(), bounds);
  REQUIRE(artifacts);
  const auto put = [&](const std::string& content) {
    auto upload = (*artifacts)->upload();
    if (auto written = upload->write(content.data(), content.size()); !written)
      return Result<Artifacts::Stored>(written.error());
    return upload->finish();
  };
  const auto abc = put("abc");
  REQUIRE(abc);
  CHECK(abc->id == "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(abc->is_new);
  CHECK_FALSE(put("abc")->is_new);
  CHECK((*artifacts)->total_bytes() == 3);
  CHECK(put(std::string(101, 'x')).error().kind == ErrorKind::too_large);
  REQUIRE(put(std::string(100, 'x')));
  CHECK(put(std::string(100, 'y')).error().kind == ErrorKind::full);
  CHECK((*artifacts)->find(abc->id));
  CHECK_FALSE((*artifacts)->find("sha256-../../etc/passwd"));

  (*artifacts)->collect_garbage(monotonic_now(), [](const std::string&) { return false; });
  CHECK((*artifacts)->find(abc->id));  // leased
  const Time later = monotonic_now() + 2h;
  (*artifacts)->collect_garbage(later, [&](const std::string& id) { return id == abc->id; });
  CHECK((*artifacts)->total_bytes() == 3);
  (*artifacts)->collect_garbage(later, [](const std::string&) { return false; });
  CHECK_FALSE((*artifacts)->find(abc->id));
  CHECK((*artifacts)->total_bytes() == 0);
}
