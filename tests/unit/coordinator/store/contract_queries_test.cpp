// Contract of the `Store` port: lists, keys, batches, artifact names, and readers of other threads.
#include <algorithm>
#include <array>
#include <atomic>
#include <ranges>
#include <thread>

#include "tests/unit/coordinator/store/contract.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;
using namespace edgefleet::test;

namespace {

// Tasks of many states and two capabilities; the middle ones are a batch.
class Mixture {
 public:
  explicit Mixture(Store& store) : store_(store) {
    for (std::uint64_t i = 0; i < 2 * period; ++i) {
      records_.push_back(record(i));
      records_.back().state = static_cast<TaskState>(i % task_state_count);
      if (i / task_state_count % 2 == 1) records_.back().spec.capability = other;
      if (of_batch(i)) records_.back().batch = batch;
      records_.back().submitter = i % 3 == 0 ? "http" : i % 3 == 1 ? "anna" : "present:anna";
    }
    save_all(store, records_, {{batch, "test", "", "print", records_[first].id, records_[last].id, last - first + 1}});
  }

  // Reads in pages of three, and compares with what the filters mean.
  void check(const TaskQuery& filters) {
    CAPTURE(filters.state.has_value(), filters.capability.has_value(), filters.batch.has_value());
    TaskQuery query = filters;
    query.limit = 3;
    std::vector<TaskId> listed;
    for (bool more = true; more && listed.size() <= records_.size();) {
      const auto page = ids(store_.reader()->tasks(query));
      listed.insert(listed.end(), page.begin(), page.end());
      more = page.size() == query.limit;
      if (more) query.before = page.back();
    }
    CHECK(listed == expected(filters));
  }

  static inline const Capability other = *Capability::parse("other");
  static inline const BatchId batch = batch_id(1);

 private:
  static constexpr std::uint64_t period = 2 * task_state_count;
  static constexpr std::uint64_t first = 5;
  static constexpr std::uint64_t last = period + 5;
  static bool of_batch(std::uint64_t i) { return first <= i && i <= last; }

  std::vector<TaskId> expected(const TaskQuery& filters) const {
    std::vector<TaskId> all;
    for (const TaskRecord& r : records_ | std::views::reverse) {
      if (filters.state && r.state != *filters.state) continue;
      if (filters.capability && r.spec.capability != *filters.capability) continue;
      if (filters.batch && r.batch != *filters.batch) continue;
      if (!filters.submitter.empty() && r.submitter != filters.submitter) continue;
      all.push_back(r.id);
    }
    return all;
  }

  Store& store_;
  std::vector<TaskRecord> records_;
};

TaskRecord keyed(std::uint64_t number, const std::string& submitter, const std::string& key) {
  TaskRecord r = record(number);
  r.submitter = submitter;
  r.idempotency_key = key;
  return r;
}

TaskRecord naming(std::uint64_t number, const std::string& artifact) {
  TaskRecord r = record(number);
  r.spec.input = R"({"deep":[{"artifact":")" + artifact + R"("}],"text":"sha256-no"})";
  return r;
}

std::optional<TaskId> by_key(Store& store, const std::string& submitter, const std::string& key) {
  const auto found = store.reads().task_by_key(submitter, key);
  REQUIRE(found);
  return *found ? std::optional((**found).id) : std::nullopt;
}

}  // namespace

// ---- lists

TEST_CASE(
    "store contract: lists by state, capability, batch and submitter contain exactly the matching tasks, newest "
    "first") {
  EachStore store;
  Mixture mixture(*store);
  for (std::size_t state = 0; state <= task_state_count; ++state) {
    const auto filter = state < task_state_count ? std::optional(static_cast<TaskState>(state)) : std::nullopt;
    for (const auto& batch : {std::optional<BatchId>{}, std::optional(Mixture::batch), std::optional(batch_id(9))}) {
      for (const auto& capability :
           {std::optional<Capability>{}, std::optional(Mixture::other), Capability::parse("none")}) {
        for (const char* submitter : {"", "http", "anna", "nobody"}) {
          mixture.check({filter, capability, batch, submitter, {}, 0});
        }
      }
    }
  }
}

TEST_CASE("store contract: a task is listed by the state that it has now") {
  EachStore store;
  save_all(*store, {record(1), record(2)});
  TaskQuery failed;
  failed.state = TaskState::failed;
  save(*store, ended_record(1, TaskState::failed), false);
  CHECK(ids(store->reads().tasks(failed)) == std::vector{id(1)});
  save(*store, record(1), false);
  CHECK(ids(store->reads().tasks(failed)).empty());
  TaskQuery queued;
  queued.state = TaskState::queued;
  CHECK(ids(store->reads().tasks(queued)) == std::vector{id(2), id(1)});
}

TEST_CASE("store contract: an artifact is a submitter's if one of its tasks names it") {
  EachStore store;
  TaskRecord of_anna = naming(1, "sha256-in");
  of_anna.submitter = "anna";
  TaskRecord of_ben = naming(2, "sha256-other");
  of_ben.submitter = "ben";
  save_all(*store, {of_anna, of_ben});
  const auto named = [&](const std::string& artifact, const std::string& submitter) {
    return *store->reads().artifact_named_by(artifact, submitter);
  };
  CHECK(named("sha256-in", "anna"));
  CHECK_FALSE(named("sha256-in", "ben"));
  CHECK_FALSE(named("sha256-other", "anna"));
  CHECK_FALSE(named("sha256-none", "anna"));
  const auto named_in = [&](const std::string& artifact, const std::vector<TaskId>& tasks) {
    return *store->reads().artifact_named_in(artifact, tasks);
  };
  CHECK(named_in("sha256-in", {id(2), id(1)}));
  CHECK_FALSE(named_in("sha256-in", {id(2)}));
  CHECK_FALSE(named_in("sha256-in", {}));
}

TEST_CASE("store contract: a page starts after any id, and has at most the requested number") {
  EachStore store;
  save_all(*store, {record(2), record(4), record(6)});
  const auto page = [&](std::optional<TaskId> before, std::size_t limit) {
    return ids(store->reads().tasks({{}, {}, {}, {}, before, limit}));
  };
  CHECK(page({}, 50) == std::vector{id(6), id(4), id(2)});
  CHECK(page({}, 2) == std::vector{id(6), id(4)});
  CHECK(page({}, 0).empty());
  CHECK(page(id(6), 50) == std::vector{id(4), id(2)});
  CHECK(page(id(5), 50) == std::vector{id(4), id(2)});  // of no task
  CHECK(page(id(9), 1) == std::vector{id(6)});
  CHECK(page(id(2), 50).empty());
}

TEST_CASE("store contract: ids are in the order of their numbers, up to the largest") {
  EachStore store;
  const std::array ulids = {Ulid{0, 1},      Ulid{1, 0},           Ulid{1, 0x80},
                            Ulid{1, 0x0100}, Ulid{1, 1ULL << 63U}, Ulid{0x80, 0},
                            Ulid{0x0100, 0}, Ulid{1ULL << 63U, 0}, Ulid{~0ULL, ~0ULL}};
  std::vector<TaskRecord> records;
  std::vector<TaskId> expected;
  for (const Ulid& ulid : ulids) {
    expected.emplace_back(ulid);
    records.push_back(record(1));
    records.back().id = expected.back();
  }
  save_all(*store, records);
  CHECK(ids(store->unfinished({}, 100)) == expected);
  CHECK(ids(store->unfinished(expected.at(4), 2)) == std::vector{expected.at(5), expected.at(6)});
  std::reverse(expected.begin(), expected.end());
  CHECK(ids(store->reads().tasks({})) == expected);
}

TEST_CASE("store contract: the unfinished tasks come in parts, in the order of their ids, each once") {
  EachStore store;
  std::vector<TaskRecord> records;
  std::vector<TaskId> expected;
  for (std::uint64_t n = 1; n <= 20; ++n) {
    records.push_back(n % 4 == 0 ? ended_record(n) : record(n));
    if (n % 4 != 0) expected.push_back(id(n));
  }
  save_all(*store, records);
  for (const std::size_t limit : {1U, 4U, 15U, 16U, 100U}) {
    std::vector<TaskId> read;
    for (bool more = true; more && read.size() <= expected.size();) {
      const auto part = ids(store->unfinished(read.empty() ? TaskId{} : read.back(), limit));
      more = !part.empty();
      CHECK(part.size() <= limit);
      read.insert(read.end(), part.begin(), part.end());
    }
    CHECK(read == expected);
  }
}

// ---- keys and batches

TEST_CASE("store contract: an idempotency key finds its task, for its submitter and as it was written only") {
  EachStore store;
  save_all(*store,
           {keyed(1, "a", "k"), keyed(2, "b", "k"), keyed(3, "a", "K"), keyed(4, "a", "k "), keyed(5, "", "k")});
  store.reopen();
  CHECK(by_key(*store, "a", "k") == id(1));
  CHECK(by_key(*store, "b", "k") == id(2));
  CHECK(by_key(*store, "a", "K") == id(3));
  CHECK(by_key(*store, "a", "k ") == id(4));
  CHECK(by_key(*store, "", "k") == id(5));
  CHECK_FALSE(by_key(*store, "c", "k"));
  CHECK_FALSE(by_key(*store, "A", "k"));
  CHECK_FALSE(by_key(*store, "a", "k  "));
  CHECK_FALSE(by_key(*store, "a", ""));
}

TEST_CASE("store contract: any number of tasks and batches have no key, and none of them is found by it") {
  EachStore store;
  std::vector<TaskRecord> one = {record(1)};
  std::vector<TaskRecord> two = {record(2)};
  const std::vector<BatchRecord> batches = {batch_of(one, 1), batch_of(two, 2)};
  save_all(*store, {one.front(), two.front()}, batches);
  CHECK(kept(*store, 1));
  CHECK(kept(*store, 2));
  CHECK_FALSE(by_key(*store, "test", ""));
  CHECK(store->reads().batch(batch_id(1))->has_value());
  CHECK(store->reads().batch(batch_id(2))->has_value());
  CHECK_FALSE(store->reads().batch_by_key("test", "")->has_value());
}

TEST_CASE("store contract: the key of a batch is not the key of a task") {
  EachStore store;
  BatchRecord batch{batch_id(1), "test", "b", "print", id(1), id(1), 1};
  save_all(*store, {keyed(1, "test", "t")}, {batch});
  CHECK_FALSE(by_key(*store, "test", "b"));
  CHECK_FALSE(store->reads().batch_by_key("test", "t")->has_value());
  save(*store, keyed(2, "test", "b"));
  CHECK(by_key(*store, "test", "b") == id(2));
  CHECK(store->reads().batch_by_key("test", "b")->has_value());
}

TEST_CASE("store contract: a batch is read back with all its fields, by its id and by its key") {
  EachStore store;
  const BatchRecord batch{batch_id(1), "a", "k", "print", id(3), id(4'000'000'000), 10'000};
  const BatchRecord of_other{batch_id(2), "b", "k", "other", id(1), id(2), 2};
  Writes writes;
  writes.batches = {batch, of_other};
  REQUIRE(store->commit(writes));
  store.reopen();
  check_equal(store->reads().batch(batch.id)->value(), batch);
  check_equal(store->reads().batch_by_key("a", "k")->value(), batch);
  check_equal(store->reads().batch_by_key("b", "k")->value(), of_other);
  CHECK_FALSE(store->reads().batch(batch_id(3))->has_value());
  CHECK_FALSE(store->reads().batch_by_key("c", "k")->has_value());
  CHECK_FALSE(store->reads().batch_by_key("a", "K")->has_value());
}

TEST_CASE("store contract: the tasks of a batch are counted by state, from the first to the last") {
  EachStore store;
  save_all(*store, {record(1)});
  std::vector<TaskRecord> records;
  for (std::uint64_t n = 2; n <= 10; ++n) records.push_back(n < 6 ? ended_record(n) : record(n));
  records.back().state = TaskState::expired;
  const BatchRecord batch = batch_of(records);
  save_all(*store, records, {batch});
  save_all(*store, {record(11)});
  std::array<std::size_t, task_state_count> expected{};
  expected.at(static_cast<std::size_t>(TaskState::succeeded)) = 4;
  expected.at(static_cast<std::size_t>(TaskState::queued)) = 4;
  expected.at(static_cast<std::size_t>(TaskState::expired)) = 1;
  CHECK(*store->reads().batch_counts(batch) == expected);
  std::vector<TaskId> ids;
  for (const TaskRecord& one : records) ids.push_back(one.id);
  CHECK(*store->reads().batch_tasks(batch) == ids);
  save(*store, ended_record(6, TaskState::failed), false);
  expected.at(static_cast<std::size_t>(TaskState::queued)) = 3;
  expected.at(static_cast<std::size_t>(TaskState::failed)) = 1;
  CHECK(*store->reads().batch_counts(batch) == expected);
}

// ---- artifacts

TEST_CASE("store contract: an artifact is named by the input or the output of a task, and by nothing else") {
  EachStore store;
  TaskRecord r = naming(1, "sha256-in");
  r.idempotency_key = "sha256-no";
  save(*store, r);
  CHECK(*store->reads().artifact_named("sha256-in"));
  CHECK_FALSE(*store->reads().artifact_named("sha256-out"));
  r.state = TaskState::succeeded;
  r.output = R"({"images":[{"artifact":"sha256-out"}]})";
  save(*store, r, false);
  store.reopen();
  CHECK(*store->reads().artifact_named("sha256-in"));
  CHECK(*store->reads().artifact_named("sha256-out"));
  CHECK_FALSE(*store->reads().artifact_named("sha256-no"));
  CHECK_FALSE(*store->reads().artifact_named("sha256-i"));
  CHECK_FALSE(*store->reads().artifact_named("sha256-%"));
}

TEST_CASE("store contract: an input or output that is a file is kept, with the artifacts that it names") {
  EachStore store;
  const auto id_of = [](char c) { return "sha256-" + std::string(64, c); };
  TaskRecord r = record(1);
  r.idempotency_key = "k";
  r.spec.input = "null";
  r.spec.input_at = TextFile{id_of('a'), 300'000, {id_of('b'), id_of('c')}};
  save(*store, r);
  REQUIRE(find(*store, r.id));
  check_equal(*find(*store, r.id), r);
  const auto unfinished = store->unfinished(TaskId{}, 10);
  REQUIRE((unfinished && unfinished->size() == 1));
  CHECK(unfinished->front().spec == r.spec);
  CHECK(unfinished->front().expires_in == r.expires_in);
  r.state = TaskState::succeeded;
  r.output_at = TextFile{id_of('d'), 400'000, {id_of('e')}};
  save(*store, r, false);
  store.reopen();
  check_equal(*find(*store, r.id), r);
  CHECK((*store->reads().task_by_key("test", "k"))->spec == r.spec);
  for (const char named : {'a', 'b', 'c', 'd', 'e'}) CHECK(*store->reads().artifact_named(id_of(named)));
  CHECK_FALSE(*store->reads().artifact_named(id_of('f')));
  CHECK(store->purge({0s, 1000}, 1h, 100)->tasks == 1);
  for (const char named : {'a', 'b', 'c', 'd', 'e'}) CHECK_FALSE(*store->reads().artifact_named(id_of(named)));
}

TEST_CASE("store contract: an artifact is named as long as one of the tasks that named it is kept") {
  EachStore store;
  for (const std::uint64_t n : {1U, 2U}) {
    TaskRecord r = naming(n, "sha256-a");
    r.state = TaskState::succeeded;
    save(*store, r, true, std::chrono::hours(n));
  }
  CHECK(store->purge({0s, 1000}, 1h, 100)->tasks == 1);
  CHECK(*store->reads().artifact_named("sha256-a"));
  CHECK(store->purge({0s, 1000}, 2h, 100)->tasks == 1);
  CHECK_FALSE(*store->reads().artifact_named("sha256-a"));
}

// ---- readers

TEST_CASE("store contract: a reader sees each commit at once, also one that it was lent before") {
  EachStore store;
  const auto reader = store->reader();
  for (std::uint64_t n = 1; n <= 3; ++n) {
    CHECK_FALSE(reader->task(id(n))->has_value());
    save(*store, record(n));
    CHECK(reader->task(id(n))->has_value());
    CHECK(ids(reader->tasks({})).size() == n);
  }
}

TEST_CASE("store contract: a reader is used by one thread at a time, and the next one waits for it") {
  EachStore store;
  save(*store, record(1));
  std::atomic<int> found{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 12; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const auto task = store->reader()->task(id(1));
        if (task && *task) ++found;
      }
    });
  }
  for (std::uint64_t n = 2; n < 60; ++n) save(*store, record(n));
  threads.clear();
  CHECK(found == 12 * 50);
}

TEST_CASE("store contract: a reader sees all of a commit or nothing of it, while others are made") {
  EachStore store;
  std::vector<TaskRecord> records;
  for (std::uint64_t n = 1; n <= 8; ++n) records.push_back(record(n));
  const BatchRecord batch = batch_of(records);
  save_all(*store, records, {batch});
  std::atomic<int> reads{0};
  std::atomic<int> torn{0};
  std::jthread reading([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto counts = store->reader()->batch_counts(batch);
      const bool whole = counts && std::ranges::count(*counts, records.size()) == 1;
      if (!whole) ++torn;
      ++reads;
    }
  });
  for (int round = 0; round < 100 || (reads < 100 && round < 100'000); ++round) {
    Writes writes;
    for (TaskRecord& r : records) {
      r.state = r.state == TaskState::queued ? TaskState::running : TaskState::queued;
      writes.tasks.push_back({&r, {}, {}, false});
    }
    REQUIRE(store->commit(writes));
  }
  reading = {};
  CHECK(reads >= 100);
  CHECK(torn == 0);
}
