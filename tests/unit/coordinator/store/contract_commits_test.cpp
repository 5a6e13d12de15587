// Contract of the `Store` port: commits, and what a coordinator finds when it starts.
#include <algorithm>

#include "tests/unit/coordinator/store/contract.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;
using namespace edgefleet::test;

namespace {

AgentName agent(const std::string& name) { return *AgentName::parse(name); }

void save_drained(Store& store, const std::vector<std::pair<AgentName, bool>>& changes) {
  Writes writes;
  writes.drained = changes;
  REQUIRE(store.commit(writes));
}

// Stores with one task of each kind of change, and one commit that changes all that a commit can change.
class Everything {
 public:
  static void prepare(EachStore& store) {
    save_all(*store, {record(1), record(2)});
    save_drained(*store, {{agent("pi-1"), true}});
    store.restore_backup();
  }

  Everything() {
    changed_.state = TaskState::succeeded;
    changed_.output = R"({"image":{"artifact":"sha256-a"}})";
    created_.idempotency_key = "k";
    batch_.idempotency_key = "b";
    writes_.tasks = {{&changed_, {}, {}, false}, {&created_, {}, {}, true}, {&of_batch_.front(), {}, {}, true}};
    writes_.batches = {batch_};
    writes_.drained = {{agent("pi-1"), false}, {agent("pi-2"), true}};
    writes_.reign = Reign{8, *SessionId::parse("s8")};
    writes_.released = true;
    writes_.tokens = {{"alice", 20'000, 1234}};
    writes_.clock = 5h;
  }
  const Writes& writes() const { return writes_; }

  static void check_absent(Store& store) {
    CHECK(find(store, id(1))->state == TaskState::queued);
    CHECK_FALSE(kept(store, 3));
    CHECK_FALSE(kept(store, 4));
    CHECK_FALSE(store.reads().task_by_key("test", "k")->has_value());
    CHECK_FALSE(store.reads().batch(batch_id(1))->has_value());
    CHECK_FALSE(store.reads().batch_by_key("test", "b")->has_value());
    CHECK_FALSE(*store.reads().artifact_named("sha256-a"));
    CHECK(drained(store) == std::vector<std::string>{"pi-1"});
    CHECK(held(store) == std::vector{id(1), id(2)});
    CHECK(store.reign()->epoch == 0);
    CHECK(store.tokens_used()->empty());
    CHECK(*store.clock() == 0s);
    CHECK(ids(store.unfinished({}, 100)) == std::vector{id(1), id(2)});
  }
  static void check_present(Store& store) {
    CHECK(find(store, id(1))->state == TaskState::succeeded);
    CHECK(kept(store, 3));
    CHECK(kept(store, 4));
    CHECK(store.reads().task_by_key("test", "k")->has_value());
    CHECK(store.reads().batch(batch_id(1))->has_value());
    CHECK(store.reads().batch_by_key("test", "b")->has_value());
    CHECK(*store.reads().artifact_named("sha256-a"));
    CHECK(drained(store) == std::vector<std::string>{"pi-2"});
    CHECK(held(store).empty());
    CHECK(store.reign()->epoch == 8);
    CHECK(*store.tokens_used() == std::vector<TokensUsed>{{"alice", 20'000, 1234}});
    CHECK(*store.clock() == 5h);
    CHECK(ids(store.unfinished({}, 100)) == std::vector{id(2), id(3), id(4)});
  }

 private:
  TaskRecord changed_ = ended_record(1);
  TaskRecord created_ = record(3);
  std::vector<TaskRecord> of_batch_ = {record(4)};
  BatchRecord batch_ = batch_of(of_batch_);
  Writes writes_;
};

}  // namespace

TEST_CASE("store contract: a new store is empty") {
  EachStore store;
  CHECK(store->reign()->epoch == 0);
  CHECK(*store->clock() == 0s);
  CHECK(held(*store).empty());
  CHECK(drained(*store).empty());
  CHECK(ids(store->unfinished({}, 100)).empty());
  CHECK(ids(store->reads().tasks({})).empty());
  CHECK_FALSE(kept(*store, 1));
  CHECK_FALSE(store->reads().batch(batch_id(1))->has_value());
  CHECK_FALSE(*store->reads().artifact_named("sha256-a"));
}

TEST_CASE("store contract: the tokens of three days are kept, of each client the newest sum") {
  EachStore store;
  const auto commit = [&](const std::string& client, std::int64_t day, std::uint64_t tokens) {
    Writes writes;
    writes.tokens = {{client, day, tokens}};
    REQUIRE(store->commit(writes));
  };
  for (std::int64_t day = 1; day <= 4; ++day) commit("a", day, 10);
  commit("a", 4, 20);
  commit("b", 4, 1);
  CHECK(*store->tokens_used() == std::vector<TokensUsed>{{"a", 2, 10}, {"a", 3, 10}, {"a", 4, 20}, {"b", 4, 1}});
  commit("a", 0, 5);  // the clock was set back
  CHECK(*store->tokens_used() == std::vector<TokensUsed>{{"a", 0, 5}, {"a", 3, 10}, {"a", 4, 20}, {"b", 4, 1}});
  SECTION("kill") { store.kill_and_reopen(); }
  SECTION("a backup has them") { store.restore_backup(); }
  commit("a", 5, 1);
  CHECK(*store->tokens_used() == std::vector<TokensUsed>{{"a", 3, 10}, {"a", 4, 20}, {"b", 4, 1}, {"a", 5, 1}});
}

TEST_CASE("store contract: all that is committed together is there at once, after a restart, and after a kill") {
  EachStore store;
  Everything::prepare(store);
  REQUIRE(store->commit(Everything().writes()));
  Everything::check_present(*store);
  SECTION("restart") { store.reopen(); }
  SECTION("kill") { store.kill_and_reopen(); }
  Everything::check_present(*store);
}

TEST_CASE("store contract: a commit that fails leaves nothing behind, and can be tried again") {
  EachStore store;
  Everything::prepare(store);
  const Everything everything;
  store.break_writes(true);
  const Status failed = store->commit(everything.writes());
  REQUIRE_FALSE(failed);
  CHECK_FALSE(failed.error().message.empty());
  Everything::check_absent(*store);
  CHECK_FALSE(store->commit(everything.writes()));
  SECTION("tried again") {
    store.break_writes(false);
    REQUIRE(store->commit(everything.writes()));
    Everything::check_present(*store);
    store.reopen();
    Everything::check_present(*store);
  }
  SECTION("restart") {
    store.break_writes(false);
    store.reopen();
    Everything::check_absent(*store);
  }
  SECTION("kill") {
    store.break_writes(false);
    store.kill_and_reopen();
    Everything::check_absent(*store);
  }
}

TEST_CASE("store contract: the same writes can be committed again, although they are there already") {
  EachStore store;
  Everything::prepare(store);
  const Everything everything;
  REQUIRE(store->commit(everything.writes()));
  REQUIRE(store->commit(everything.writes()));
  Everything::check_present(*store);
}

TEST_CASE("store contract: a store that cannot write still answers") {
  EachStore store;
  save(*store, record(1), true, 1s);
  store.break_writes(true);
  TaskRecord changed = record(1);
  changed.state = TaskState::running;
  Writes writes;
  writes.clock = 2s;
  writes.tasks = {{&changed, {}, {}, false}};
  CHECK_FALSE(store->commit(writes));
  CHECK_FALSE(store->keep_time(3s));
  CHECK(find(*store, id(1))->state == TaskState::queued);
  CHECK(store->reader()->task(id(1))->value().state == TaskState::queued);
  CHECK(*store->clock() == 1s);
}

TEST_CASE("store contract: empty writes change nothing, not even the clock") {
  EachStore store;
  save(*store, record(1), true, 1h);
  Writes nothing;
  nothing.clock = 2h;
  CHECK(store->commit(nothing));
  CHECK(*store->clock() == 1h);
}

TEST_CASE("store contract: a commit of the largest batch is there whole and in order") {
  EachStore store;
  std::vector<TaskRecord> records;
  for (std::uint64_t n = 1; n <= limits::batch_tasks; ++n) records.push_back(record(n));
  save_all(*store, records, {batch_of(records)});
  store.reopen();
  const auto batch = store->reads().batch(batch_id(1));
  REQUIRE((batch && *batch));
  CHECK(store->reads().batch_counts(**batch)->at(static_cast<std::size_t>(TaskState::queued)) == records.size());
  const auto listed = ids(store->unfinished({}, records.size() + 1));
  REQUIRE(listed.size() == records.size());
  CHECK(std::is_sorted(listed.begin(), listed.end()));
}

// ---- the epoch and the clock

TEST_CASE("store contract: the epoch stays until a commit changes it, whatever its size") {
  EachStore store;
  Writes writes;
  for (const std::uint64_t epoch : {std::uint64_t{7}, (std::uint64_t{1} << 53U) + 1}) {
    writes.reign = Reign{epoch, *SessionId::parse("s" + std::to_string(epoch))};
    REQUIRE(store->commit(writes));
    save(*store, record(epoch), true);
    CHECK(store->reign()->epoch == epoch);
    store.reopen();
    CHECK(store->reign()->epoch == epoch);
  }
}

TEST_CASE("store contract: every commit advances the clock, and so does the time that is kept by itself") {
  EachStore store;
  save(*store, record(1), true, 5s);
  CHECK(*store->clock() == 5s);
  Writes epoch;
  epoch.reign = Reign{1, {}};
  epoch.clock = 6s;
  REQUIRE(store->commit(epoch));
  CHECK(*store->clock() == 6s);
  REQUIRE(store->keep_time(7s + 1ms));
  CHECK(*store->clock() == 7s + 1ms);
  store.kill_and_reopen();
  CHECK(*store->clock() == 7s + 1ms);
}

TEST_CASE("store contract: a deadline approaches by the time that coordinators run, across restarts") {
  EachStore store;
  TaskRecord r = record(1);
  r.state = TaskState::scheduled;
  r.due_in = 24h;
  r.expires_in = 30h;
  save(*store, r, true, 1h);
  REQUIRE(store->keep_time(21h));  // it ran twenty hours more, and nothing happened
  store.reopen();
  CHECK(store->unfinished({}, 100)->front().due_in == 4h);
  CHECK(store->unfinished({}, 100)->front().expires_in == 10h);
  REQUIRE(store->keep_time(26h));
  store.reopen();
  CHECK(store->unfinished({}, 100)->front().due_in == 0s);  // passed
  CHECK(store->unfinished({}, 100)->front().expires_in == 5h);
}

TEST_CASE("store contract: a deadline is never earlier than requested, and less than a millisecond later") {
  EachStore store;
  TaskRecord r = record(1);
  r.due_in = 1ns;
  r.expires_in = limits::longest + 1ns;
  save(*store, r, true, 1h + 300ns);
  const auto back = store->unfinished({}, 1);
  REQUIRE(back->size() == 1);
  const Duration lost = 300ns;  // the clock is kept in milliseconds
  CHECK(back->front().due_in >= r.due_in);
  CHECK(back->front().due_in <= *r.due_in + lost + 1ms);
  CHECK(back->front().expires_in >= r.expires_in);
  CHECK(back->front().expires_in <= *r.expires_in + lost + 1ms);
}

TEST_CASE("store contract: a deadline that no longer applies is removed by the next write of its task") {
  EachStore store;
  TaskRecord r = record(1);
  r.due_in = 1h;
  r.expires_in = 2h;
  save(*store, r);
  r.due_in.reset();
  r.expires_in.reset();
  save(*store, r, false);
  CHECK_FALSE(store->unfinished({}, 1)->front().due_in);
  CHECK_FALSE(store->unfinished({}, 1)->front().expires_in);
}

// ---- drained agents and held tasks

TEST_CASE("store contract: an agent is drained until it is resumed, however often either is written") {
  EachStore store;
  save_drained(*store, {{agent("pi-1"), true}, {agent("pi-2"), true}, {agent("pi-3"), false}});
  save_drained(*store, {{agent("pi-1"), true}});
  CHECK(drained(*store) == std::vector<std::string>{"pi-1", "pi-2"});
  save_drained(*store, {{agent("pi-2"), false},
                        {agent("pi-4"), true},
                        {agent("pi-4"), false},
                        {agent("pi-5"), false},
                        {agent("pi-5"), true}});
  save(*store, record(1));
  store.reopen();
  CHECK(drained(*store) == std::vector<std::string>{"pi-1", "pi-5"});
}

TEST_CASE("store contract: after a restore the unfinished tasks are held, new ones are not") {
  EachStore store;
  save_all(*store, {record(1), ended_record(2), record(3)});
  CHECK(held(*store).empty());
  store.restore_backup();
  CHECK(held(*store) == std::vector{id(1), id(3)});
  save(*store, record(4));
  CHECK(held(*store) == std::vector{id(1), id(3)});
}

TEST_CASE("store contract: a held task is held across restarts until it ends or all are released") {
  EachStore store;
  save_all(*store, {record(1), record(2), record(3)});
  store.restore_backup();
  TaskRecord changed = record(1);
  changed.state = TaskState::cancelling;
  save(*store, changed, false);
  CHECK(held(*store).size() == 3);
  save(*store, ended_record(2, TaskState::cancelled), false);
  CHECK(held(*store) == std::vector{id(1), id(3)});
  store.reopen();
  CHECK(held(*store) == std::vector{id(1), id(3)});
  save(*store, ended_record(3), false);
  CHECK(held(*store) == std::vector{id(1)});
  Writes release;
  release.released = true;
  REQUIRE(store->commit(release));
  CHECK(held(*store).empty());
  store.reopen();
  CHECK(held(*store).empty());
}
