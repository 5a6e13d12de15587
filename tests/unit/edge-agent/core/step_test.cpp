#include "tests/support/agent.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::test;
using namespace std::chrono_literals;

TEST_CASE("an executor that is out of service is still listed, and accepts no tasks") {
  Conversation c(2);
  c.give({1, 2, 3});
  ExecutorInfo executor = c.state.executors.begin()->second.info;
  executor.problem = "it died";
  c.receive(OfferChanged{executor});
  auto results = c.results();  // the running task ends by itself, the waiting one is returned
  REQUIRE(results.size() == 1);
  CHECK(results[0].status == ResultStatus::returned);
  CHECK(free_slots(c.state).begin()->second == 0);
  c.give({4}, 2);
  results = c.results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].error->code == "not_offered");
  executor.problem.clear();
  c.receive(OfferChanged{executor});
  c.done(1);
  c.done(2);
  CHECK(free_slots(c.state).begin()->second == 2);
}

TEST_CASE("a task goes to the executor that the coordinator has chosen, and to no other") {
  Conversation c(2);
  ExecutorInfo other = c.state.executors.begin()->second.info;
  other.name = *ExecutorName::parse("other");
  other.slots = 9;
  c.receive(OfferChanged{other});
  const auto give = [&](std::uint64_t number, const char* executor) {
    c.receive(TasksSeen{reign, number, work, {{id(number), 1, "{}", 1min, *ExecutorName::parse(executor)}}});
    return c.all<StartTask>();
  };
  REQUIRE(give(1, "main").size() == 1);  // although the other one has more free slots
  CHECK(give(2, "main").at(0).executor.str() == "main");
  CHECK(give(3, "main").empty());
  CHECK(give(4, "other").at(0).executor.str() == "other");
  CHECK(give(5, "gone").empty());
  const auto results = c.results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].error->code == "not_offered");
}

TEST_CASE("an agent counts what ran here, and knows since when its status holds") {
  Conversation c(2);
  c.flush();
  const Time begin = c.state.status_since;
  c.now += 1min;
  c.give({1, 2, 3});
  c.done(1);
  Finished failed;
  failed.key = {id(2), 1};
  failed.error = TaskError{"bad_input", "", false, {}};
  c.receive(failed);
  c.flush();
  CHECK(c.state.succeeded == 1);
  CHECK(c.state.failed == 1);
  CHECK(c.state.status_since == begin);
  c.receive(DrainSeen{reign, true});
  c.flush();
  CHECK(c.state.status_since == c.now);
}

TEST_CASE(
    "an info that changes without pause is sent at most as often as a coordinator takes it, and the last one is") {
  Conversation c;
  c.flush();
  std::size_t infos = 0;
  const auto turn = [&] {
    c.receive(Tick{});
    c.flush();
    infos += c.all<SendInfo>().size();
  };
  for (int i = 0; i < 100; ++i) {
    ExecutorInfo executor = c.state.executors.begin()->second.info;
    executor.notice = std::to_string(i);
    c.receive(OfferChanged{executor});
    turn();
    c.now += 100ms;
  }
  CHECK(infos >= 10);
  CHECK(infos <= 10 + 2 + 1);
  CHECK(c.state.info_changed);
  CHECK(next_deadline(c.state) <= c.now + 5s);
  const std::size_t before = infos;
  while (infos == before) {
    c.now = std::max(c.now + 1ns, next_deadline(c.state));
    turn();
  }
  CHECK_FALSE(c.state.info_changed);
}

TEST_CASE("an agent without a broker sleeps until there is something to do") {
  Conversation c;
  c.give({1});
  c.receive(LinkDown{});
  for (int i = 0; i < 100; ++i) {
    c.receive(Tick{});
    c.flush();
    CHECK(next_deadline(c.state) > c.now);
    c.now = std::max(c.now + 1ns, next_deadline(c.state));
    if (i == 3) c.done(1);
  }
}

TEST_CASE("a task is started, its result sent until it is acknowledged") {
  Conversation c;
  c.give({1});
  REQUIRE(c.all<StartTask>().size() == 1);
  c.done(1);
  REQUIRE(c.results().size() == 1);
  CHECK(c.results().empty());
  c.now += 11s;
  c.receive(Tick{});
  CHECK(c.results().size() == 1);
  c.receive(AcknowledgeSeen{reign, {{{id(1), 1}, false}}});
  CHECK(c.state.held.empty());
  CHECK(c.state.result_bytes == 0);
}

TEST_CASE("a held attempt is not started twice") {
  Conversation c(2);
  c.give({1});
  c.give({1}, 2);
  CHECK(c.all<StartTask>().empty());
  CHECK(c.state.n == 2);
  c.done(1);
  CHECK(c.results().size() == 1);
  c.give({1}, 3);
  CHECK(c.results().size() == 1);  // its result is sent again
}

TEST_CASE("at most as many tasks run as there are slots; the others wait") {
  Conversation c(2);
  c.give({1, 2, 3});
  CHECK(c.all<StartTask>().size() == 2);
  CHECK(free_slots(c.state).begin()->second == 0);
  c.done(1);
  CHECK(c.all<StartTask>().size() == 1);
}

TEST_CASE("a cancel is confirmed in every phase of a task") {
  Conversation c;
  c.give({1, 2});
  c.receive(CancelSeen{reign, {{id(1), 1}, {id(2), 1}, {id(3), 1}}});
  CHECK(c.all<StopTask>().size() == 1);
  const auto now = c.results();  // the waiting one and the one that was never received
  REQUIRE(now.size() == 2);
  for (const auto& result : now) CHECK(result.status == ResultStatus::cancelled);
  c.done(1, TaskError{"cancelled", "stopped", false, {}});
  CHECK(c.results().at(0).status == ResultStatus::cancelled);
  c.receive(AcknowledgeSeen{reign, {{{id(3), 1}, false}}});
  c.give({3}, 2);  // the cancel has arrived before it
  CHECK(c.all<StartTask>().empty());
  CHECK(c.results().at(0).status == ResultStatus::cancelled);
}

TEST_CASE("an agent that cannot accept a task returns it") {
  Conversation c;
  SECTION("draining") {
    c.give({1, 2});
    c.receive(DrainSeen{reign, true});
    const auto back = c.results();
    REQUIRE(back.size() == 1);
    CHECK(back[0].status == ResultStatus::returned);
    CHECK(status_of(c.state) == AgentState::draining);
  }
  SECTION("hot") {
    c.give({1, 2});
    c.receive(TemperatureRead{{{"thermal_zone0", true, 85000, "85000"}}, {}, 0});
    REQUIRE(c.results().size() == 1);
    CHECK(status_of(c.state) == AgentState::overheated);
    c.give({5}, 2);
    CHECK(c.results().at(0).error->code == "overheated");
  }
  SECTION("full") {
    c.state.policy.most_waiting = 1;
    c.give({1});
    c.give({2, 3}, 2);
    CHECK(c.results().at(0).error->code == "full");
  }
  SECTION("does not offer it") {
    c.receive(TasksSeen{reign, 1, *Capability::parse("other"), {{id(1), 1, "1", 1min}}});
    CHECK(c.results().at(0).error->code == "not_offered");
  }
}

TEST_CASE("only the followed coordinator may give orders") {
  Conversation c;
  c.receive(TasksSeen{Reign{2, *SessionId::parse("old")}, 1, work, {{id(1), 1, "1", 1min}}});
  CHECK(c.all<StartTask>().empty());
  c.receive(CoordinatorSeen{true, Reign{2, *SessionId::parse("old")}});
  CHECK(c.state.reign == reign);
  c.receive(CoordinatorSeen{true, Reign{4, *SessionId::parse("new")}});
  CHECK(c.state.reign.epoch == 4);
  CHECK(c.state.n == 0);
  CHECK_FALSE(c.all<SendBeat>().empty());
}

TEST_CASE("an epoch that no coordinator can have reached is not followed, and left for a possible one") {
  Conversation c;
  const Reign forged{std::uint64_t{1} << 53U, *SessionId::parse("forged")};
  c.receive(CoordinatorSeen{true, forged});
  CHECK(c.state.reign == reign);
  c.state.reign = forged;  // as if it had been the first one that was seen
  c.receive(CoordinatorSeen{true, reign});
  CHECK(c.state.reign == reign);
  c.receive(CoordinatorSeen{true, Reign{reign.epoch - 1, *SessionId::parse("old")}});
  CHECK(c.state.reign == reign);
}

TEST_CASE("an agent that is asked to introduce itself sends its info, beat and status, and follows who asks") {
  Conversation c;
  c.receive(IntroduceSeen{reign});
  CHECK_FALSE(c.all<SendInfo>().empty());
  CHECK_FALSE(c.all<SendStatus>().empty());
  c.receive(IntroduceSeen{Reign{reign.epoch + 1, *SessionId::parse("new")}});
  CHECK(c.state.reign.epoch == reign.epoch + 1);
  CHECK(c.all<SendInfo>().size() == 1);
  c.receive(IntroduceSeen{reign});  // an older one
  CHECK(c.all<SendInfo>().empty());
}

TEST_CASE("a result that the broker can never take is replaced by its reason") {
  Conversation c;
  c.give({1});
  c.done(1);
  REQUIRE(c.results().size() == 1);
  c.receive(ResultsRefused{{{id(1), 1}, {id(2), 1}}, "the largest packet has 20000 bytes"});
  const auto again = c.results();
  REQUIRE(again.size() == 1);
  CHECK(again[0].status == ResultStatus::failed);
  CHECK(again[0].error->code == "output_too_large");
  CHECK(again[0].error->message.find("20000 bytes") != std::string::npos);
  CHECK(again[0].output == "null");
  CHECK(c.state.result_bytes == 4);
}

TEST_CASE("on every connect results are sent first, and the status online last") {
  Conversation c;
  c.give({1});
  c.receive(LinkDown{});
  c.done(1);
  CHECK(c.results().empty());
  c.receive(LinkUp{});
  REQUIRE(c.effects.size() >= 4);
  CHECK(std::holds_alternative<SendResults>(c.effects.front()));
  CHECK(std::holds_alternative<SendInfo>(c.effects[1]));
  CHECK(std::holds_alternative<SendBeat>(c.effects[2]));
  CHECK(std::holds_alternative<SendStatus>(c.effects.back()));
}

TEST_CASE("everything is sent again to a coordinator that was offline") {
  Conversation c;
  c.receive(CoordinatorSeen{false, reign});
  CHECK(c.effects.empty());
  c.receive(CoordinatorSeen{true, reign});
  CHECK_FALSE(c.all<SendStatus>().empty());
}

TEST_CASE("everything is sent again to a coordinator that reconnects after the agent") {
  Conversation c;
  c.receive(LinkDown{});
  c.receive(LinkUp{});
  REQUIRE(c.all<SendBeat>().size() == 1);
  c.receive(CoordinatorSeen{true, reign});
  CHECK(c.all<SendBeat>().size() == 1);
  CHECK(c.all<SendInfo>().size() == 1);
}

TEST_CASE("a stop drains, waits for running tasks, and ends when all results are acknowledged") {
  Conversation c;
  c.give({1, 2});
  c.receive(Stop{});
  c.flush();
  CHECK(c.all<EndProgram>().empty());
  CHECK(c.all<SendStatus>().at(0).state == AgentState::draining);
  c.receive(AcknowledgeSeen{reign, {{{id(2), 1}, false}}});
  c.done(1);
  c.flush();
  CHECK(c.all<EndProgram>().empty());
  c.receive(AcknowledgeSeen{reign, {{{id(1), 1}, false}}});
  c.flush();
  CHECK(c.all<EndProgram>().size() == 1);
}

TEST_CASE("a task that runs longer than the grace of a stop is stopped, and fails so that it is retried elsewhere") {
  Conversation c;
  c.give({1});
  c.receive(Stop{});
  c.now += c.state.policy.stop_grace;
  c.flush();
  REQUIRE(c.all<StopTask>().size() == 1);
  c.done(1, TaskError{"cancelled", "stopped", false, {}});
  const auto results = c.results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].status == ResultStatus::failed);
  CHECK(results[0].error->retryable);
}

TEST_CASE("a result whose task the coordinator does not know is kept for inspection") {
  Conversation c;
  c.give({1});
  c.done(1);
  c.flush();
  c.receive(AcknowledgeSeen{reign, {{{id(1), 1}, true}}});
  CHECK(c.all<KeepForPerson>().size() == 1);
  CHECK(c.state.held.empty());
}

TEST_CASE("the info and status of an agent are published again every minute") {
  Conversation c;
  c.flush();
  std::size_t infos = 0;
  std::size_t statuses = 0;
  for (int i = 0; i < 12; ++i) {
    c.now += 10s;
    c.receive(Tick{});
    infos += c.all<SendInfo>().size();
    c.flush();
    statuses += c.all<SendStatus>().size();
  }
  CHECK(infos == 2);
  CHECK(statuses == 2);
}

TEST_CASE("executors that need files are out of service while the coordinator's HTTP API cannot be reached") {
  Conversation c;
  ExecutorInfo camera;
  camera.name = *ExecutorName::parse("camera");
  camera.capabilities = {*Capability::parse("blur")};
  c.receive(OfferChanged{camera, false, true});
  const auto problem_of = [&](const std::string& name) {
    return c.state.executors.at(*ExecutorName::parse(name)).info.problem;
  };
  TasksSeen given{reign, 1, *Capability::parse("blur"), {{id(1), 1, "1", 1min}, {id(2), 1, "2", 1min}}};
  c.receive(given);  // one runs, one waits
  c.receive(FilesSeen{"refused"});
  CHECK(problem_of("camera") == "refused");
  CHECK(problem_of("main").empty());
  CHECK(c.all<WriteLog>().size() == 1);
  const auto results = c.results();
  REQUIRE(results.size() == 1);  // the one that waits goes to another agent
  CHECK(results[0].status == ResultStatus::returned);
  CHECK(results[0].error->message.find("refused") != std::string::npos);
  c.receive(FilesSeen{"refused"});
  CHECK(c.effects.empty());

  camera.slots = 2;  // what it offers changes meanwhile
  c.receive(OfferChanged{camera, false, true});
  CHECK(problem_of("camera") == "refused");
  c.receive(FilesSeen{""});
  CHECK(problem_of("camera").empty());
  CHECK(c.state.executors.at(*ExecutorName::parse("camera")).info.slots == 2);
}

TEST_CASE("a coordinator that is not running puts no executor out of service: the tasks that are here are kept") {
  Conversation c;
  ExecutorInfo camera;
  camera.name = *ExecutorName::parse("camera");
  camera.capabilities = {*Capability::parse("blur")};
  c.receive(OfferChanged{camera, false, true});
  c.receive(CoordinatorSeen{false, reign});
  c.receive(FilesSeen{"refused"});
  CHECK(c.state.executors.at(camera.name).info.problem.empty());
  c.receive(CoordinatorSeen{true, reign});
  c.receive(FilesSeen{"refused"});
  CHECK(c.state.executors.at(camera.name).info.problem == "refused");
}
