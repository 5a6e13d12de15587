#include "coordinator/shell/requests.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/shell.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

template <typename T>
struct Told {
  std::vector<Result<T>> answers;
  Answer<T> hear() {
    return [this](Result<T> answer) { answers.push_back(std::move(answer)); };
  }
  const T& only() const {
    REQUIRE(answers.size() == 1);
    REQUIRE(answers[0]);
    return *answers[0];
  }
  ErrorKind error() const {
    REQUIRE(answers.size() == 1);
    REQUIRE_FALSE(answers[0]);
    return answers[0].error().kind;
  }
};

SubmitTasks::One one(std::string input, std::string key = {}) {
  SubmitTasks::One task;
  task.spec.capability = *Capability::parse("work");
  task.spec.input = std::move(input);
  task.idempotency_key = std::move(key);
  return task;
}

TaskId submitted(test::Shell& shell, const std::string& key = {}) {
  Told<Acceptance> told;
  shell.requests.take(SubmitRequest{"test", one("1", key), told.hear()});
  shell.commit();
  return told.only().id;
}

TaskId ended(test::Shell& shell) {
  const TaskId id = submitted(shell);
  Told<TaskState> told;
  shell.requests.take(CancelRequest{id, told.hear()});
  shell.commit();
  CHECK(told.only() == TaskState::cancelled);
  return id;
}

}  // namespace

TEST_CASE("a submitter is answered after the commit, with the reason why its task waits") {
  test::Shell shell;
  Told<Acceptance> told;
  shell.requests.take(SubmitRequest{"test", one("1"), told.hear()});
  CHECK(told.answers.empty());
  shell.commit();
  CHECK(told.only().state == TaskState::queued);
  CHECK(told.only().waiting == "the broker cannot be reached");
  CHECK(shell.store.reads().task(told.only().id)->has_value());
}

TEST_CASE("a key that is used twice before the commit costs one commit, and both requests get the same task") {
  test::Shell shell;
  Told<Acceptance> first;
  Told<Acceptance> second;
  Told<Acceptance> other;
  const int before = shell.store.commits;
  shell.requests.take(SubmitRequest{"test", one("1", "key"), first.hear()});
  shell.requests.take(SubmitRequest{"test", one("1", "key"), second.hear()});
  shell.requests.take(SubmitRequest{"test", one("2", "key"), other.hear()});
  CHECK(shell.store.commits == before);
  shell.commit();
  CHECK(shell.store.commits == before + 1);
  CHECK(first.only().id == second.only().id);
  CHECK(other.error() == ErrorKind::conflict);
}

TEST_CASE("a key that is in the store is answered from it at once") {
  test::Shell shell;
  const TaskId id = submitted(shell, "key");
  Told<Acceptance> again;
  Told<Acceptance> other;
  Told<BatchAcceptance> batch;
  shell.requests.take(SubmitRequest{"test", one("1", "key"), again.hear()});
  shell.requests.take(SubmitRequest{"test", one("2", "key"), other.hear()});
  shell.requests.take(SubmitBatchRequest{"test", {"key", "f"}, {one("1")}, batch.hear()});
  CHECK(again.only().id == id);
  CHECK(other.error() == ErrorKind::conflict);
  CHECK(batch.error() == ErrorKind::conflict);
}

TEST_CASE("a batch is answered the same from the drain and from the store") {
  test::Shell shell;
  Told<BatchAcceptance> first;
  Told<BatchAcceptance> second;
  Told<BatchAcceptance> later;
  Told<BatchAcceptance> other;
  const auto batch = [](Told<BatchAcceptance>& told, const std::string& fingerprint) {
    return SubmitBatchRequest{"test", {"key", fingerprint}, {one("1"), one("2")}, told.hear()};
  };
  shell.requests.take(batch(first, "f"));
  shell.requests.take(batch(second, "f"));
  shell.commit();
  shell.requests.take(batch(later, "f"));
  shell.requests.take(batch(other, "g"));
  CHECK(first.only().tasks.size() == 2);
  for (const auto* told : {&second, &later}) {
    CHECK(told->only().id == first.only().id);
    CHECK(told->only().tasks == first.only().tasks);
  }
  CHECK(other.error() == ErrorKind::conflict);
}

TEST_CASE("a cancel of a task that has ended, or never existed, reports that") {
  test::Shell shell;
  Told<TaskState> late;
  Told<TaskState> unknown;
  shell.requests.take(CancelRequest{ended(shell), late.hear()});
  shell.requests.take(CancelRequest{TaskId{Ulid{1, 1}}, unknown.hear()});
  shell.commit();
  CHECK(late.error() == ErrorKind::conflict);
  CHECK(unknown.error() == ErrorKind::not_found);
}

TEST_CASE("the retries of many tasks are answered together, with one result for each") {
  test::Shell shell;
  const TaskId well = ended(shell);
  const TaskId alive = submitted(shell);
  Told<Retried> told;
  Told<Retried> none;
  shell.requests.take(RetryManyRequest{"test", {well, alive, TaskId{Ulid{1, 1}}}, told.hear()});
  shell.requests.take(RetryManyRequest{"test", {}, none.hear()});
  CHECK(told.answers.empty());
  shell.commit();
  CHECK(told.only().tasks == 1);
  REQUIRE(told.only().refused.size() == 2);
  CHECK(none.only().tasks == 0);
  CHECK(shell.store.reads().task(well)->value().state == TaskState::queued);
}

TEST_CASE("an unknown agent cannot be drained, and a release reports how many tasks it released") {
  test::Shell shell;
  const TaskId id = submitted(shell);
  Told<Drained> drained;
  Told<std::size_t> released;
  shell.engine.hold({id});
  shell.requests.take(DrainRequest{*AgentName::parse("pi-1"), true, drained.hear()});
  shell.requests.take(ReleaseRequest{released.hear()});
  shell.commit();
  CHECK(drained.error() == ErrorKind::not_found);
  CHECK(released.only() == 1);
}

TEST_CASE("the answer to an order to read the configuration again has the number of earlier times") {
  test::Shell shell;
  const AgentName name = *AgentName::parse("pi-1");
  AgentInfo info;
  info.session = *SessionId::parse("a");
  info.config = ConfigReport{3, "", "", ""};
  shell.engine.step(AgentStatusSeen{name, {AgentState::online, info.session}});
  shell.engine.step(AgentInfoSeen{name, info});
  Told<Reloading> told;
  shell.requests.take(ReloadRequest{name, told.hear()});
  info.config->reloads = 4;
  shell.engine.step(AgentInfoSeen{name, info});  // before the answer
  shell.commit();
  CHECK(told.only().reloads == 3);
  CHECK(told.only().session == info.session);
  CHECK(told.only().state == AgentState::online);
}

TEST_CASE("a request that waits for a commit that never happens is refused once") {
  test::Shell shell;
  Told<Acceptance> told;
  shell.requests.take(SubmitRequest{"test", one("1"), told.hear()});
  shell.requests.refuse_waiting(Error{"over", ErrorKind::unavailable});
  CHECK(told.error() == ErrorKind::unavailable);
  shell.commit();
  CHECK(told.answers.size() == 1);
}

TEST_CASE("with little disk space new tasks are refused, repetitions of accepted ones are answered, cancels go on") {
  test::Shell shell;
  std::uint64_t available = 50;
  DiskSpace space(100, [&] { return DiskSpace::Space{available, 1'000'000}; }, {});
  Requests requests(shell.engine, shell.store, &space);
  const TaskId accepted = submitted(shell, "key");
  Told<Acceptance> refused;
  requests.take(SubmitRequest{"test", one("1"), refused.hear()});
  CHECK(refused.error() == ErrorKind::full);
  Told<BatchAcceptance> no_batch;
  requests.take(SubmitBatchRequest{"test", {}, {one("1")}, no_batch.hear()});
  CHECK(no_batch.error() == ErrorKind::full);
  Told<Acceptance> repeated;
  requests.take(SubmitRequest{"test", one("1", "key"), repeated.hear()});
  CHECK(repeated.only().id == accepted);
  Told<TaskState> cancelled;
  shell.requests.take(CancelRequest{accepted, cancelled.hear()});
  shell.commit();
  CHECK(cancelled.only() == TaskState::cancelled);
}
