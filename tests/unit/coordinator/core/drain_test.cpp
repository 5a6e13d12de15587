#include "coordinator/core/drain.hpp"

#include <stdexcept>

#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

SubmitTasks::One one(std::string input, std::string key = {}) {
  SubmitTasks::One task;
  task.spec.capability = capability("work");
  task.spec.input = std::move(input);
  task.idempotency_key = std::move(key);
  return task;
}

// A drain with a store of its own: the committed records, by id.
class Drained {
 public:
  State state{Reign{7, session("coordinator")}, 1};
  Drain drain{state};
  Now now{Time{1h}, WallTime{1'700'000'000'000}};
  std::map<TaskId, TaskRecord> store;
  Writes last;  // their records no longer exist
  Drain::AfterCommit after;

  Drained() {
    step(BrokerUp{});
    commit();
  }

  Drain::Immediates step(const Event& event) { return drain.step(event, now); }
  void commit() {
    const Writes& writes = drain.close(now.mono, Duration{0});
    for (const TaskWrite& write : writes.tasks) store[write.record->id] = kept(write);
    last = writes;
    drain.committed(now, [&](const Drain::AfterCommit& result) {
      after = result;
      if (then) then();
    });
  }
  std::function<void()> then;  // called while the effects of a commit are carried out

  void submit(RequestId request, SubmitTasks::One task) { step(SubmitTasks{request, "test", {}, {std::move(task)}}); }
  TaskId submit() {
    submit(1, one("1"));
    commit();
    return answer<Accepted>(1)->ids.front();
  }
  void join(const std::string& name) {
    Conversation messages;
    step(AgentInfoSeen{agent(name), messages.info("a", 4)});
    Heartbeat beat = messages.heartbeat("a", 4, {}, 0);
    beat.coordinator = state.reign;
    step(HeartbeatSeen{agent(name), beat});
    step(AgentStatusSeen{agent(name), {AgentState::online, session("a")}});
  }
  void result(const std::string& name, const TaskId& id) {
    TaskResult result;
    result.id = id;
    step(ResultsSeen{agent(name), {result}});
  }

  template <typename E>
  std::vector<E> changes() const {
    std::vector<E> all;
    for (const Change& change : after.changes) {
      if (const auto* found = std::get_if<E>(&change)) all.push_back(*found);
    }
    return all;
  }
  template <typename E>
  const E* answer(RequestId request) const {
    for (const Deferred& effect : after.effects) {
      const auto* found = std::get_if<E>(&effect);
      if (found != nullptr && found->request == request) return found;
    }
    return nullptr;
  }
};

}  // namespace

TEST_CASE("a drain of many events is one set of writes in the order of the ids, with the last state of each task") {
  Drained d;
  for (RequestId request = 1; request <= 50; ++request) d.submit(request, one("1"));
  d.step(CancelTask{99, d.state.tasks.begin()->first});
  d.commit();
  REQUIRE(d.last.tasks.size() == 50);
  CHECK(d.store.size() == 50);
  CHECK(std::ranges::count_if(d.store, [](const auto& e) { return e.second.state == TaskState::cancelled; }) == 1);
  CHECK(std::ranges::all_of(d.last.tasks, [](const TaskWrite& write) { return write.created; }));
}

TEST_CASE("nothing is answered, sent or reported before the commit, and tasks are sent first") {
  Drained d;
  d.join("pi-1");
  d.commit();
  d.submit(1, one("1"));
  CHECK(d.drain.place(d.now).empty());
  CHECK(d.store.empty());
  d.commit();
  REQUIRE(d.after.effects.size() == 2);
  CHECK(std::holds_alternative<SendTasks>(d.after.effects.front()));
  CHECK(d.answer<Accepted>(1) != nullptr);
}

TEST_CASE("a commit that fails is tried again with the same writes, and nothing is stepped meanwhile") {
  Drained d;
  d.submit(1, one("1"));
  const Writes& writes = d.drain.close(d.now.mono, 5s);
  CHECK(writes.clock == 5s);
  CHECK_THROWS_AS(d.step(Tick{}), std::logic_error);
  CHECK_THROWS_AS(d.drain.close(d.now.mono, 6s), std::logic_error);
  REQUIRE(writes.tasks.size() == 1);
  CHECK(writes.tasks[0].created);
  d.drain.committed(d.now, [&](const Drain::AfterCommit& result) { d.after = result; });
  CHECK(d.answer<Accepted>(1) != nullptr);
  CHECK(d.drain.step(Tick{}, d.now).empty());
}

TEST_CASE("a drain that is reopened is committed together with the next events") {
  Drained d;
  d.step(ReignBegun{});
  d.submit(1, one("1"));
  CHECK(d.drain.close(d.now.mono, 0s).tasks.size() == 1);
  d.drain.reopen();
  d.submit(2, one("2"));
  d.commit();
  CHECK(d.last.reign->epoch == 7);
  CHECK(d.store.size() == 2);
  CHECK(d.answer<Accepted>(1) != nullptr);
  CHECK(d.answer<Accepted>(2) != nullptr);
}

TEST_CASE("the writes of a drain are not in the next one") {
  Drained d;
  d.step(ReignBegun{});
  d.submit();
  d.step(Tick{});
  d.commit();
  CHECK(d.last.empty());
  CHECK(d.after.effects.empty());
  CHECK(d.after.changes.empty());
}

TEST_CASE("a key that comes twice in one drain is one task, and both are answered by the same commit") {
  Drained d;
  d.submit(1, one("1", "key"));
  d.submit(2, one("1", "key"));
  d.submit(3, one("2", "key"));
  d.submit(4, one("1", "other"));
  d.step(SubmitTasks{5, "test", SubmitTasks::Batch{"key", "f"}, {one("1")}});
  d.step(SubmitTasks{6, "another", {}, {one("1", "key")}});
  d.commit();
  CHECK(d.store.size() == 3);
  REQUIRE(d.answer<Accepted>(1) != nullptr);
  REQUIRE(d.answer<Accepted>(2) != nullptr);
  CHECK(d.answer<Accepted>(1)->ids == d.answer<Accepted>(2)->ids);
  for (const RequestId conflict : {3U, 5U}) {
    REQUIRE(d.answer<Rejected>(conflict) != nullptr);
    CHECK(d.answer<Rejected>(conflict)->error.kind == ErrorKind::conflict);
  }
  CHECK(d.answer<Accepted>(4)->ids != d.answer<Accepted>(1)->ids);
  CHECK(d.answer<Accepted>(6)->ids != d.answer<Accepted>(1)->ids);
}

TEST_CASE("a key whose task has been cancelled in the same drain still names it") {
  Drained d;
  d.submit(1, one("1", "key"));
  d.step(CancelTask{2, d.state.tasks.begin()->first});
  d.submit(3, one("1", "key"));
  d.commit();
  CHECK(d.store.size() == 1);
  CHECK(d.answer<Accepted>(3)->ids == d.answer<Accepted>(1)->ids);
}

TEST_CASE("a batch that comes twice in one drain is one batch") {
  Drained d;
  const SubmitTasks::Batch batch{"key", "fingerprint"};
  d.step(SubmitTasks{1, "test", batch, {one("1"), one("2")}});
  d.step(SubmitTasks{2, "test", batch, {one("1"), one("2")}});
  d.step(SubmitTasks{3, "test", SubmitTasks::Batch{"key", "another"}, {one("3")}});
  d.submit(4, one("1", "key"));
  d.commit();
  REQUIRE(d.last.batches.size() == 1);
  CHECK(d.last.batches[0].total == 2);
  CHECK(d.last.batches[0].idempotency_key == "key");
  CHECK(d.answer<Accepted>(2)->batch == d.last.batches[0].id);
  CHECK(d.answer<Accepted>(2)->ids == d.answer<Accepted>(1)->ids);
  CHECK(d.answer<Rejected>(3) != nullptr);
  CHECK(d.answer<Rejected>(4) != nullptr);
  CHECK(d.store.size() == 2);
}

TEST_CASE("the key of a submit that was refused is free") {
  Drained d;
  d.state.policy.most_tasks = 2;
  d.step(SubmitTasks{1, "test", SubmitTasks::Batch{"key", "f"}, {one("1"), one("2")}});
  d.submit(2, one("1", "key"));
  d.commit();
  CHECK(d.answer<Rejected>(1)->error.kind == ErrorKind::busy);
  CHECK(d.answer<Accepted>(2) != nullptr);
}

TEST_CASE("a drain does not remember the keys of an earlier one") {
  Drained d;
  d.submit(1, one("1", "key"));
  d.commit();
  d.submit(2, one("1", "key"));
  d.commit();
  CHECK(d.answer<Accepted>(2) != nullptr);
  CHECK(d.store.size() == 2);
}

TEST_CASE("a task's change goes from its last durable state to the new one, with its attempt and agent") {
  Drained d;
  const TaskId id = d.submit();
  REQUIRE(d.changes<TaskChanged>().size() == 1);
  CHECK(d.changes<TaskChanged>()[0].from == std::nullopt);
  CHECK(d.changes<TaskChanged>()[0].to == TaskState::queued);
  CHECK(d.changes<TaskChanged>()[0].attempt == 0);
  d.join("pi-1");
  CHECK(d.drain.place(d.now).empty());
  d.result("pi-1", id);
  d.commit();
  const auto changes = d.changes<TaskChanged>();
  REQUIRE(changes.size() == 1);  // the state assigned began and ended within the drain
  CHECK(changes[0].id == id);
  CHECK(changes[0].from == TaskState::queued);
  CHECK(changes[0].to == TaskState::succeeded);
  CHECK(changes[0].attempt == 1);
  CHECK(changes[0].agent == agent("pi-1"));
}

TEST_CASE("a new attempt is a change though the state is the same") {
  Drained d;
  d.join("pi-1");
  d.submit(1, one("1"));
  CHECK(d.drain.place(d.now).empty());
  d.commit();
  const TaskId id = d.answer<Accepted>(1)->ids.front();
  d.step(AgentStatusSeen{agent("pi-1"), {AgentState::offline, session("a")}});
  d.join("pi-2");
  CHECK(d.drain.place(d.now).empty());
  d.commit();
  REQUIRE(d.changes<TaskChanged>().size() == 1);
  CHECK(d.changes<TaskChanged>()[0].from == TaskState::assigned);
  CHECK(d.changes<TaskChanged>()[0].to == TaskState::assigned);
  CHECK(d.changes<TaskChanged>()[0].attempt == 2);
  CHECK(d.store.at(id).attempts.size() == 2);
}

TEST_CASE("a recovered task is already durable") {
  Drained before;
  const TaskId id = before.submit();
  Drained after;
  recover(after.state, {before.store.at(id)}, after.now);
  after.step(CancelTask{1, id});
  after.commit();
  REQUIRE(after.changes<TaskChanged>().size() == 1);
  CHECK(after.changes<TaskChanged>()[0].from == TaskState::queued);
}

TEST_CASE("exactly the ended tasks that were written are removed from the state") {
  Drained d;
  const TaskId first = d.submit();
  const TaskId second = d.submit();
  d.step(CancelTask{1, first});
  d.then = [&] {
    CHECK(d.state.tasks.count(first) == 1);  // a listener still finds it
    d.step(CancelTask{2, second});           // a loss of the broker can do so too
  };
  d.commit();
  d.then = {};
  CHECK(d.state.tasks.count(first) == 0);
  REQUIRE(d.state.tasks.count(second) == 1);
  CHECK(d.store.at(second).state == TaskState::queued);
  d.commit();
  CHECK(d.store.at(second).state == TaskState::cancelled);
  CHECK(d.state.tasks.empty());
}

TEST_CASE("a batch ends with the last outcome of its tasks, also after a restart") {
  Drained d;
  d.step(SubmitTasks{1, "test", SubmitTasks::Batch{}, {one("1"), one("2")}});
  d.commit();
  const auto accepted = *d.answer<Accepted>(1);
  d.step(CancelTask{2, accepted.ids[0]});
  d.commit();
  CHECK(d.changes<BatchEnded>().empty());

  Drained restarted;
  recover(restarted.state, {d.store.at(accepted.ids[1])}, restarted.now);
  for (Drained* one : {&d, &restarted}) {
    one->step(CancelTask{3, accepted.ids[1]});
    one->commit();
    REQUIRE(one->changes<BatchEnded>().size() == 1);
    CHECK(one->changes<BatchEnded>()[0].id == accepted.batch);
    CHECK(one->state.batch_rest.empty());
  }
}

TEST_CASE("a batch whose task is retried in the drain of its end has not ended") {
  Drained d;
  d.step(SubmitTasks{1, "test", SubmitTasks::Batch{}, {one("1"), one("2")}});
  d.commit();
  const auto accepted = *d.answer<Accepted>(1);
  d.step(CancelTask{2, accepted.ids[0]});
  d.commit();
  d.step(CancelTask{3, accepted.ids[1]});
  d.step(RetryTask{4, d.store.at(accepted.ids[0])});
  d.commit();
  CHECK(d.changes<BatchEnded>().empty());
  CHECK(d.last.revived == 1);
  d.step(CancelTask{5, accepted.ids[0]});
  d.commit();
  CHECK(d.changes<BatchEnded>().size() == 1);
}

TEST_CASE("each agent has at most one change for each commit, and none if its state is the same again") {
  Drained d;
  d.join("pi-1");
  d.commit();
  REQUIRE(d.changes<AgentChanged>().size() == 1);
  CHECK(d.changes<AgentChanged>()[0].from == std::nullopt);
  CHECK(d.changes<AgentChanged>()[0].to == AgentState::online);
  d.step(AgentStatusSeen{agent("pi-1"), {AgentState::lost, session("a")}});
  d.step(AgentStatusSeen{agent("pi-1"), {AgentState::online, session("b")}});
  d.commit();
  CHECK(d.changes<AgentChanged>().empty());
  d.step(AgentStatusSeen{agent("pi-1"), {AgentState::overheated, session("b")}});
  d.step(AgentStatusSeen{agent("pi-1"), {AgentState::lost, session("b")}});
  d.commit();
  REQUIRE(d.changes<AgentChanged>().size() == 1);
  CHECK(d.changes<AgentChanged>()[0].from == AgentState::online);
  CHECK(d.changes<AgentChanged>()[0].to == AgentState::lost);
}

TEST_CASE("changes of temperatures and loaded models are reported once for each commit") {
  Drained d;
  d.join("pi-1");
  d.commit();
  Temperature temperature;
  for (const double celsius : {50.0, 51.0}) {
    temperature.celsius = celsius;
    d.step(TemperatureSeen{agent("pi-1"), temperature});
  }
  AgentInfo info = *d.state.agents[0].info;
  info.executors[0].loaded_models = {"m"};
  d.step(AgentInfoSeen{agent("pi-1"), info});
  d.commit();
  CHECK(d.changes<TemperatureChanged>().size() == 1);
  CHECK(d.changes<LoadedModelsChanged>().size() == 1);
  d.step(TemperatureSeen{agent("pi-1"), temperature});
  info.cpus = 2;
  d.step(AgentInfoSeen{agent("pi-1"), info});
  d.commit();
  CHECK(d.after.changes.empty());
}

TEST_CASE("the order to stop the program acts at the step, not after a commit that may never succeed") {
  Drained d;
  const auto immediates = d.step(CoordinatorSeen{true, Reign{9, session("other")}, true});
  REQUIRE(immediates.size() == 1);
  CHECK(std::holds_alternative<StopProgram>(immediates[0]));
  d.commit();
  CHECK(d.after.effects.empty());
}

TEST_CASE("drained agents, a new epoch and a release are written") {
  Drained d;
  d.join("pi-1");
  d.step(DrainAgent{1, agent("pi-1"), true});
  d.step(DrainAgent{2, agent("pi-1"), false});
  d.step(ReleaseHeld{3});
  d.step(CoordinatorSeen{false, Reign{20, session("old")}, false});
  d.commit();
  REQUIRE(d.last.drained.size() == 2);
  CHECK(d.last.drained[1] == std::pair(agent("pi-1"), false));
  CHECK(d.last.released);
  CHECK(d.last.reign->epoch == 21);
}

TEST_CASE("expired deadlines are handled before placement") {
  Drained d;
  auto task = one("1");
  task.spec.expires_after = 1s;
  d.submit(1, task);
  d.commit();
  d.now.mono += 2s;
  d.join("pi-1");
  CHECK(d.drain.place(d.now).empty());
  d.commit();
  CHECK(d.store.begin()->second.state == TaskState::expired);
}
