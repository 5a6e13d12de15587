// A configuration that is read while the agent works: what becomes of its tasks.
#include "tests/support/agent.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

const ExecutorName main_one = *ExecutorName::parse("main");
const Capability other_work = *Capability::parse("other");

ExecutorInfo successor(int slots, const Capability& capability = work) {
  ExecutorInfo executor;
  executor.name = main_one;
  executor.capabilities = {capability};
  executor.slots = slots;
  return executor;
}

// What a plug-in tells before its hello, and after it ended without one.
ExecutorInfo silent(const char* problem, bool rests) {
  ExecutorInfo executor;
  executor.name = main_one;
  executor.problem = problem;
  executor.rests = rests;
  return executor;
}

Reconfigured same_settings(const Conversation& c) {
  Reconfigured event;
  event.max_tasks = c.state.policy.max_tasks;
  event.stop_grace = c.state.policy.stop_grace;
  return event;
}

void change(Conversation& c) {
  auto event = same_settings(c);
  event.changed = {main_one};
  c.receive(event);
}

void remove(Conversation& c) {
  auto event = same_settings(c);
  event.removed = {main_one};
  c.receive(event);
}

int free_of_main(const Conversation& c) { return free_slots(c.state).at(main_one); }

}  // namespace

TEST_CASE("the coordinator that an agent follows, and its owner, can let it read its configuration again") {
  Conversation c;
  c.receive(ReloadSeen{Reign{4, reign.session}});
  CHECK(c.all<ReadConfiguration>().empty());
  c.receive(ReloadSeen{reign});
  CHECK(c.all<ReadConfiguration>().size() == 1);
  c.receive(ReloadAsked{});
  CHECK(c.all<ReadConfiguration>().size() == 1);
  c.receive(Stop{});
  c.receive(ReloadAsked{});
  CHECK(c.all<ReadConfiguration>().empty());
}

TEST_CASE("a changed executor starts nothing until its successor offers, and then what waits") {
  Conversation c(1);
  c.give({1, 2});
  change(c);
  CHECK(c.all<StartTask>().empty());
  CHECK(free_of_main(c) == 0);
  CHECK(c.results().empty());
  CHECK_FALSE(offers_of(c.state).at(0).problem.empty());  // nobody gives it tasks meanwhile
  c.done(1);
  CHECK(c.all<StartTask>().empty());
  CHECK(c.results().size() == 1);

  auto starting = successor(1);
  starting.problem = "is starting";
  starting.rests = true;
  c.receive(OfferChanged{starting});
  CHECK(c.all<StartTask>().empty());
  CHECK(c.results().empty());
  c.receive(OfferChanged{successor(1)});
  REQUIRE(c.all<StartTask>().size() == 1);
  CHECK(c.all<StartTask>().front().key == AttemptKey{id(2), 1});
}

TEST_CASE("tasks that wait for a changed executor are returned if its successor does not offer their capability") {
  Conversation c(1);
  c.give({1, 2});
  change(c);
  c.receive(OfferChanged{successor(1, other_work)});
  CHECK(c.all<StartTask>().empty());
  const auto results = c.results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].id == id(2));
  CHECK(results[0].status == ResultStatus::returned);
  c.done(1);
  CHECK(c.results().size() == 1);
  CHECK(free_of_main(c) == 1);
}

TEST_CASE("tasks that wait for a changed executor are returned if its successor cannot work") {
  Conversation c(1);
  c.give({1, 2});
  change(c);
  auto broken = successor(1);
  broken.problem = "no such program";
  c.receive(OfferChanged{broken});
  const auto results = c.results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].status == ResultStatus::returned);
  CHECK(results[0].error->message.find("no such program") != std::string::npos);
}

TEST_CASE("until its successor has said what it offers, a changed executor lists what it offered, out of service") {
  Conversation c(1);
  c.give({1, 2});
  change(c);
  const auto before = offers_of(c.state).at(0);
  c.receive(OfferChanged{silent("is starting", true)});
  CHECK(offers_of(c.state).at(0) == before);
  CHECK(before.capabilities == std::vector{work});
  CHECK(before.rests);
  CHECK(c.results().empty());
  CHECK(free_of_main(c) == 0);

  c.receive(OfferChanged{silent("died with exit code 3", false)});
  const auto down = offers_of(c.state).at(0);
  CHECK(down.capabilities == std::vector{work});
  CHECK(down.problem == "died with exit code 3");
  CHECK_FALSE(down.rests);
  CHECK(c.results().at(0).status == ResultStatus::returned);

  c.receive(OfferChanged{successor(1, other_work)});
  CHECK(offers_of(c.state).at(0) == successor(1, other_work));
}

TEST_CASE("an executor that has never said what it offers offers nothing") {
  Conversation c(1);
  remove(c);
  c.receive(OfferChanged{silent("is starting", true)});
  CHECK(offers_of(c.state).at(0) == silent("is starting", true));
}

TEST_CASE("runs of a changed executor count in the slots of its successor") {
  Conversation c(2);
  c.give({1, 2, 3});
  change(c);
  c.receive(OfferChanged{successor(3)});
  CHECK(c.all<StartTask>().size() == 1);
  CHECK(free_of_main(c) == 0);
  change(c);
  c.receive(OfferChanged{successor(1)});
  c.give({4}, 2);
  for (const std::uint64_t ended : {1U, 2U}) {
    c.done(ended);
    CHECK(c.all<StartTask>().empty());
  }
  c.done(3);
  CHECK(c.all<StartTask>().size() == 1);
}

TEST_CASE("a removed executor offers nothing, returns what waits, and is forgotten after its last run") {
  Conversation c(2);
  c.give({1, 2, 3});
  remove(c);
  const auto results = c.results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].id == id(3));
  CHECK(results[0].status == ResultStatus::returned);
  CHECK(offers_of(c.state).empty());
  CHECK(free_slots(c.state).empty());
  c.give({4}, 2);
  CHECK(c.results().at(0).error->code == "not_offered");
  c.done(1);
  CHECK(c.state.executors.size() == 1);
  c.done(2);
  CHECK(c.state.executors.empty());
  const auto last = c.results();
  REQUIRE(last.size() == 2);
  for (const auto& result : last) CHECK(result.status == ResultStatus::succeeded);
}

TEST_CASE("a removed executor without runs is forgotten at once, and one that never offered is no problem") {
  Conversation c(1);
  remove(c);
  CHECK(c.state.executors.empty());
  remove(c);
  change(c);
  CHECK(c.state.executors.empty());
}

TEST_CASE("an executor that is removed and added again while a task runs has one slot less until then") {
  Conversation c(2);
  c.give({1});
  remove(c);
  c.receive(OfferChanged{successor(2)});
  CHECK(offers_of(c.state).size() == 1);
  CHECK(free_of_main(c) == 1);
  c.done(1);
  CHECK(free_of_main(c) == 2);
  CHECK(c.state.executors.size() == 1);
}

TEST_CASE("a running task of a changed or removed executor can be cancelled") {
  for (const auto& apply : {change, remove}) {
    Conversation c(1);
    c.give({1});
    apply(c);
    c.receive(CancelSeen{reign, {{id(1), 1}}});
    CHECK(c.all<StopTask>().size() == 1);
    c.done(1, TaskError{"cancelled", "", false, {}});
    const auto results = c.results();
    REQUIRE(results.size() == 1);
    CHECK(results[0].status == ResultStatus::cancelled);
  }
}

TEST_CASE("a drain returns the tasks that wait for the successor of a changed executor") {
  Conversation c(1);
  c.give({1, 2});
  change(c);
  c.receive(DrainSeen{reign, true});
  CHECK(c.results().size() == 1);
}

TEST_CASE("a new bound on tasks and a new grace hold at once") {
  Conversation c(4);
  c.give({1, 2});
  auto event = same_settings(c);
  event.max_tasks = 2;
  event.stop_grace = 7s;
  c.receive(event);
  CHECK(free_of_main(c) == 0);
  c.give({3}, 2);
  CHECK(c.results().at(0).error->code == "full");
  c.receive(Stop{});
  CHECK(*c.state.stop_at == c.now + 7s);
}

TEST_CASE("new limits of heat hold from the next reading on, and an agent that now only observes is not slowed") {
  Conversation c(4);
  const auto read = [&](double celsius) {
    c.now += 30s;
    c.receive(TemperatureRead{{{"cpu", true, celsius, ""}}, {}, 0});
  };
  read(60);
  CHECK(c.state.heat.policy() == HeatPolicy::normal);
  auto event = same_settings(c);
  event.heat = HeatLimits{50, 55, 45};
  c.receive(event);
  read(60);
  CHECK(c.state.heat.policy() == HeatPolicy::paused);
  c.give({1});
  CHECK(c.results().at(0).error->code == "overheated");
  event.heat.observe_only = true;
  c.receive(event);
  c.give({2}, 2);
  CHECK(c.all<StartTask>().size() == 1);
}

TEST_CASE("the info and the capacity are published after a change of the configuration") {
  Conversation c(1);
  c.flush();
  c.receive(same_settings(c));
  c.flush();
  CHECK(c.all<SendInfo>().size() == 1);
  CHECK(c.all<SendBeat>().size() == 1);
}
