#include "tests/unit/coordinator/store/contract.hpp"

#include <algorithm>

namespace edgefleet::test {

using namespace std::chrono_literals;

EachStore::EachStore()
    : kind_(store_kinds().at(GENERATE(range(std::size_t{0}, store_kinds().size())))),
      name_(Catch::MessageBuilder("INFO", CATCH_INTERNAL_LINEINFO, Catch::ResultWas::Info) << "store: " << kind_.name),
      kept_(kind_.make()),
      store_(kept_->open()) {}

void EachStore::reopen() {
  store_.reset();
  store_ = kept_->open();
}

void EachStore::kill_and_reopen() {
  kept_->kill(std::move(store_));
  store_ = kept_->open();
}

void EachStore::restore_backup() {
  store_.reset();
  kept_->restore_backup();
  store_ = kept_->open();
}

TaskRecord full_record(std::uint64_t number) {
  TaskRecord r = record(number);
  r.spec.name = "nightly";
  r.spec.priority = -7;
  r.spec.timeout = 90s;
  r.spec.expires_after = 36h;
  r.spec.delay = 250ms;
  r.spec.max_attempts = 9;
  r.spec.where = {{"room", "cellar"}, {"agent", "pi-1"}};
  r.submitter = "backup-job";
  r.idempotency_key = "key-" + std::to_string(number);
  r.batch = batch_id(number);
  r.state = TaskState::failed;
  r.order = -3;
  r.allowed_attempts = 12;
  r.accepted_at = WallTime{1'700'000'000'123};
  r.ended_at = WallTime{1'700'000'009'999};
  Attempt first;
  first.agent = *AgentName::parse("pi-1");
  first.session = *SessionId::parse("life-1");
  first.state = AttemptState::lost;
  first.spent = false;
  first.assigned_at = WallTime{1'700'000'001'000};
  Attempt second = first;
  second.n = 2;
  second.agent = *AgentName::parse("pi-2");
  second.state = AttemptState::failed;
  second.spent = true;
  second.started_at = WallTime{1'700'000'002'000};
  second.ended_at = WallTime{1'700'000'003'000};
  second.error = TaskError{"no_memory", "a \"quoted\" text", true, 1500ms};
  r.attempts = {first, second};
  r.output = R"({"part":1})";
  r.error = TaskError{"timed_out", "after 90 s", false, {}};
  r.usage = R"({"tokens":42})";
  r.run = 1234567ns;
  return r;
}

BatchRecord batch_of(std::vector<TaskRecord>& records, std::uint64_t number) {
  for (TaskRecord& r : records) r.batch = batch_id(number);
  return {batch_id(number), "test", "", "print", records.front().id, records.back().id, records.size()};
}

TaskWrite created(const TaskRecord& r) { return {&r, r.due_in, r.expires_in, true}; }

void save_all(Store& store, const std::vector<TaskRecord>& records, const std::vector<BatchRecord>& batches) {
  Writes writes;
  for (const TaskRecord& r : records) writes.tasks.push_back(created(r));
  writes.batches = batches;
  REQUIRE(store.commit(writes));
}

std::optional<TaskRecord> find(Store& store, const TaskId& task) {
  auto found = store.reads().task(task);
  REQUIRE(found);
  return std::move(*found);
}

bool kept(Store& store, std::uint64_t number) { return find(store, id(number)).has_value(); }

std::vector<TaskId> ids(const Result<std::vector<TaskRecord>>& records) {
  REQUIRE(records);
  std::vector<TaskId> all;
  for (const TaskRecord& r : *records) all.push_back(r.id);
  return all;
}

std::vector<std::string> drained(Store& store) {
  const auto agents = store.drained_agents();
  REQUIRE(agents);
  std::vector<std::string> all;
  for (const AgentName& agent : *agents) all.push_back(agent.str());
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<TaskId> held(Store& store) {
  auto all = store.held();
  REQUIRE(all);
  std::sort(all->begin(), all->end());
  return std::move(*all);
}

void check_equal(const TaskRecord& stored, const TaskRecord& expected) {
  CHECK(stored.id == expected.id);
  CHECK(stored.spec == expected.spec);
  CHECK(stored.submitter == expected.submitter);
  CHECK(stored.idempotency_key == expected.idempotency_key);
  CHECK(stored.batch == expected.batch);
  CHECK(stored.state == expected.state);
  CHECK(stored.order == expected.order);
  CHECK(stored.allowed_attempts == expected.allowed_attempts);
  CHECK(stored.accepted_at.unix_ms == expected.accepted_at.unix_ms);
  CHECK(stored.ended_at.has_value() == expected.ended_at.has_value());
  CHECK(stored.ended_at.value_or(WallTime{}).unix_ms == expected.ended_at.value_or(WallTime{}).unix_ms);
  CHECK(stored.attempts == expected.attempts);
  CHECK(stored.output == expected.output);
  CHECK(stored.output_at == expected.output_at);
  CHECK(stored.error == expected.error);
  CHECK(stored.usage == expected.usage);
  CHECK(stored.run == expected.run);
}

void check_equal(const BatchRecord& stored, const BatchRecord& expected) {
  CHECK(stored.id == expected.id);
  CHECK(stored.submitter == expected.submitter);
  CHECK(stored.idempotency_key == expected.idempotency_key);
  CHECK(stored.fingerprint == expected.fingerprint);
  CHECK(stored.first == expected.first);
  CHECK(stored.last == expected.last);
  CHECK(stored.total == expected.total);
}

}  // namespace edgefleet::test
