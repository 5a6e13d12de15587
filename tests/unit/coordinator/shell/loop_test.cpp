#include "coordinator/shell/loop.hpp"

#include <future>
#include <thread>

#include "common/system/clock.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/records.hpp"
#include "tests/support/shell.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;

namespace {

template <typename Condition>
bool eventually(Condition condition) {
  const Time until = monotonic_now() + 10s;
  while (!condition() && monotonic_now() < until) std::this_thread::yield();
  return condition();
}

// A loop that runs in a thread of its own, without a broker. `take_over`: it does not listen for other coordinators;
// otherwise the broker does not answer by itself.
struct Running {
  bool take_over_;
  test::TemporaryFolder folder;
  test::FailingStore store{folder.path()};
  test::Broker broker;
  std::unique_ptr<Artifacts> artifacts = *Artifacts::open(folder.path(), {});
  Waiters waiters;
  StreamHub hub;
  Loop loop{options(), store, *artifacts, waiters, hub};
  std::future<Status> ended;

  explicit Running(const std::function<void(test::FailingStore&)>& prepare = {}, bool take_over = true)
      : take_over_(take_over) {
    if (prepare) prepare(store);
    broker.answers = take_over;
    REQUIRE(loop.recover());
    ended = std::async(std::launch::async, [this] { return loop.run(); });
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  Running(Running&&) = delete;
  Running& operator=(Running&&) = delete;
  ~Running() {
    loop.request_stop();
    if (ended.valid()) ended.wait();
  }

  Loop::Options options() {
    Loop::Options made;
    made.fleet = *FleetName::parse("home");
    made.last_tries = 100ms;
    made.make_client = broker.maker();
    made.take_over = take_over_;
    return made;
  }
  template <typename T, typename Start>
  static Result<T> ask(Start start) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    auto answer = promise->get_future();
    start(Answer<T>([promise](Result<T> told) { promise->set_value(std::move(told)); }));
    if (answer.wait_for(10s) != std::future_status::ready) return Error{"no answer"};
    return answer.get();
  }
  Result<Acceptance> submit(const std::string& key = {}) {
    SubmitTasks::One one;
    one.spec.capability = *Capability::parse("work");
    one.spec.input = "1";
    one.idempotency_key = key;
    return ask<Acceptance>([&](auto answer) { loop.submit("test", one, answer); });
  }
  // The loop waits inside a turn until the promise is set: everything that arrives in the meantime is one drain.
  std::promise<void> hold() {
    std::promise<void> inside;
    std::promise<void> go;
    REQUIRE(loop.look([&inside, until = go.get_future().share()](const State&, Now) {
      inside.set_value();
      until.wait();
    }));
    inside.get_future().wait();
    return go;
  }
};

}  // namespace

TEST_CASE("a loop accepts, cancels and notifies waiters, and ends with everything committed") {
  Running running;
  const auto accepted = running.submit();
  REQUIRE(accepted);
  std::promise<void> ended;
  const Waiters::Ticket ticket(running.waiters, accepted->id, [&] { ended.set_value(); });
  const auto cancelled = Running::ask<TaskState>([&](auto answer) { running.loop.cancel(accepted->id, answer); });
  REQUIRE(cancelled);
  CHECK(*cancelled == TaskState::cancelled);
  CHECK(ended.get_future().wait_for(10s) == std::future_status::ready);
  running.loop.request_stop();
  CHECK(running.ended.get());
  CHECK(running.store.reads().task(accepted->id)->value().state == TaskState::cancelled);
  CHECK(running.submit().error().kind == ErrorKind::unavailable);
}

TEST_CASE("a coordinator that hears no other one announces itself, and accepts tasks from then on") {
  Running running({}, false);
  const std::string status = "edgefleet/v1/home/coordinator/status";
  CHECK(running.submit().error().kind == ErrorKind::unavailable);
  CHECK(running.broker.on(status) == 0);
  CHECK_FALSE(running.broker.options().will);
  running.broker.answers = true;
  running.broker.say(mqtt::Connected{});
  REQUIRE(eventually([&] { return running.broker.on(status) > 0; }));
  CHECK(running.broker.options().will);
  CHECK(running.submit());
  CHECK(eventually([&] { return running.broker.on("edgefleet/v1/home/coordinator/beat") > 0; }));
}

TEST_CASE("a coordinator that hears another one ends, and has neither accepted nor published anything") {
  Running running({}, false);
  CHECK(running.submit().error().kind == ErrorKind::unavailable);
  running.broker.say(mqtt::Connected{});
  running.broker.say(mqtt::Subscribed{});
  running.broker.say(mqtt::Received{
      {"edgefleet/v1/home/coordinator/beat", R"({"store":"other","epoch":9,"session":"other"})", 0, false, {}, {}}});
  REQUIRE(running.ended.wait_for(10s) == std::future_status::ready);
  const auto ended = running.ended.get();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().message.find("another coordinator (session other") != std::string::npos);
  CHECK(running.broker.published().empty());
}

TEST_CASE("a submitter may get the id before the task is durable") {
  Running running;
  running.store.full = true;
  SubmitTasks::One one;
  one.spec.capability = *Capability::parse("work");
  std::promise<TaskId> made;
  std::promise<Result<Acceptance>> answer;
  running.loop.submit(
      "test", one, [&](Result<Acceptance> told) { answer.set_value(std::move(told)); },
      [&](const TaskId& id) { made.set_value(id); });
  const TaskId id = made.get_future().get();
  auto told = answer.get_future();
  CHECK(told.wait_for(0s) == std::future_status::timeout);
  running.store.full = false;
  CHECK(told.get()->id == id);
}

TEST_CASE("while the store fails, submits are refused and stepped events are kept; then the loop continues") {
  Running running;
  const auto accepted = running.submit();
  REQUIRE(accepted);
  running.store.full = true;
  auto cancelled = std::async(std::launch::async, [&] {
    return Running::ask<TaskState>([&](auto answer) { running.loop.cancel(accepted->id, answer); });
  });
  REQUIRE(eventually([&] { return !running.loop.store_well(); }));
  const auto refused = running.submit();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::full);
  running.store.full = false;
  CHECK(cancelled.get());
  CHECK(running.submit());
}

TEST_CASE("a loop that another coordinator has replaced stops retrying a failing store") {
  Running running;
  auto accepted = running.submit();
  running.store.full = true;
  auto go = running.hold();
  const auto topic = "edgefleet/v1/home/coordinator/status";
  running.broker.say(
      mqtt::Received{{topic, protocol::encode(protocol::CoordinatorStatus{
                                 protocol::CoordinatorState::online, Reign{1'000, *SessionId::parse("another")}})}});
  std::promise<bool> cancelled;
  running.loop.cancel(accepted->id, [&](const Result<TaskState>& answer) { cancelled.set_value(answer.ok()); });
  go.set_value();
  REQUIRE(running.ended.wait_for(20s) == std::future_status::ready);
  const auto ended = running.ended.get();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().message.find("has taken over") != std::string::npos);
  CHECK_FALSE(cancelled.get_future().get());
  CHECK(running.store.reads().task(accepted->id)->value().state == TaskState::queued);
}

TEST_CASE("a full disk at the start does not keep a coordinator from starting, and its epoch is recorded later") {
  test::TemporaryFolder folder;
  test::FailingStore store(folder.path());
  test::Broker broker;
  const auto artifacts = *Artifacts::open(folder.path(), {});
  Waiters waiters;
  StreamHub hub;
  Loop::Options options;
  options.fleet = *FleetName::parse("home");
  options.make_client = broker.maker();
  Loop loop(options, store, *artifacts, waiters, hub);
  store.full = true;
  REQUIRE(loop.recover());
  CHECK(store.reign()->epoch == 0);
  auto ended = std::async(std::launch::async, [&] { return loop.run(); });
  CHECK(eventually([&] { return !loop.store_well(); }));
  CHECK(broker.published().empty());
  store.full = false;
  CHECK(eventually([&] { return loop.store_well(); }));
  loop.request_stop();
  CHECK(ended.get());
  CHECK(store.reign()->epoch == 1);
}

TEST_CASE("on a full disk old tasks are removed although a commit waits, and then it succeeds") {
  Running running([](test::FailingStore& store) {
    TaskRecord old = test::record(1);
    old.state = TaskState::succeeded;
    old.ended_at = WallTime{1};
    test::save(store, old);
    REQUIRE(store.keep_time(Retention{}.keep + 1h));
    store.full_until_purged = true;
  });
  CHECK(eventually([&] { return !running.store.full_until_purged && running.loop.store_well(); }));
  CHECK(running.submit());
  CHECK_FALSE(running.store.reads().task(TaskId{Ulid{5, 1}})->has_value());
}
