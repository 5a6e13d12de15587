#include "edge-agent/shell/events.hpp"

#include "tests/support/agent.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::test;

namespace {

protocol::ControlMessage control(protocol::ControlType type) {
  protocol::ControlMessage message;
  message.reign = reign;
  message.type = type;
  message.tasks.good = {{id(1), 2, false}, {id(3), 1, true}};
  return message;
}

const std::vector<AttemptKey> both{{id(1), 2}, {id(3), 1}};

}  // namespace

TEST_CASE("each type of control message is an event of its own, with the attempts that it names") {
  const Event cancel = event_of(control(protocol::ControlType::cancel));
  REQUIRE(std::holds_alternative<CancelSeen>(cancel));
  CHECK(std::get<CancelSeen>(cancel).tasks == both);
  CHECK(std::get<CancelSeen>(cancel).reign == reign);

  const Event recall = event_of(control(protocol::ControlType::recall));
  REQUIRE(std::holds_alternative<RecallSeen>(recall));
  CHECK(std::get<RecallSeen>(recall).tasks == both);

  const Event drain = event_of(control(protocol::ControlType::drain));
  REQUIRE(std::holds_alternative<DrainSeen>(drain));
  CHECK(std::get<DrainSeen>(drain).drain);

  const Event reload = event_of(control(protocol::ControlType::reload));
  REQUIRE(std::holds_alternative<ReloadSeen>(reload));
  CHECK(std::get<ReloadSeen>(reload).reign == reign);

  const Event resume = event_of(control(protocol::ControlType::resume));
  REQUIRE(std::holds_alternative<DrainSeen>(resume));
  CHECK_FALSE(std::get<DrainSeen>(resume).drain);
}

TEST_CASE("an acknowledgement tells for each result whether its task is known") {
  const Event event = event_of(control(protocol::ControlType::acknowledge));
  REQUIRE(std::holds_alternative<AcknowledgeSeen>(event));
  const auto& results = std::get<AcknowledgeSeen>(event).results;
  REQUIRE(results.size() == 2);
  CHECK(results[0].key == both[0]);
  CHECK_FALSE(results[0].unknown);
  CHECK(results[1].key == both[1]);
  CHECK(results[1].unknown);
}

TEST_CASE("task events have all data that a run needs") {
  protocol::TasksMessage message;
  message.reign = reign;
  message.n = 7;
  message.tasks.good = {{id(1), 2, "{\"a\":1.0}", 90s, *ExecutorName::parse("main")}};
  const Event event = event_of(message, work);
  REQUIRE(std::holds_alternative<TasksSeen>(event));
  const auto& seen = std::get<TasksSeen>(event);
  CHECK(seen.reign == reign);
  CHECK(seen.n == 7);
  CHECK(seen.capability == work);
  REQUIRE(seen.tasks.size() == 1);
  CHECK(seen.tasks[0].id == id(1));
  CHECK(seen.tasks[0].attempt == 2);
  CHECK(seen.tasks[0].input == "{\"a\":1.0}");
  CHECK(seen.tasks[0].timeout == 90s);
  CHECK(seen.tasks[0].executor.str() == "main");
}
