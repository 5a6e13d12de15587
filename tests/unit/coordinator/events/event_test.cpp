#include "coordinator/events/event.hpp"

#include "common/protocol/json.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace edgefleet::coordinator::events;

namespace {

const TaskId task_id{Ulid{1, 1}};
const BatchId batch_id{Ulid{1, 2}};
const AgentName pi = *AgentName::parse("pi-1");
const Capability echo = *Capability::parse("echo");
const WallTime at{1'700'000'000'000};

Event task(const std::string& submitter = "alice") {
  return {at, TaskEvent{task_id, echo, "n", submitter, batch_id, TaskState::running, TaskState::failed, 2, pi,
                        "timed_out"}};
}
Event batch(const std::string& submitter = "alice") { return {at, BatchEvent{batch_id, submitter}}; }
Event agent() { return {at, AgentEvent{pi, AgentState::online, {}}}; }

}  // namespace

TEST_CASE("an event is an object in the terms of the API") {
  CHECK(data_of(task()) == R"({"id":")" + task_id.str() +
                               R"(","capability":"echo","name":"n","state":"failed","from":"running","batch":")" +
                               batch_id.str() +
                               R"(","attempt":2,"agent":"pi-1","error":"timed_out","at":"2023-11-14T22:13:20.000Z"})");
  CHECK(data_of(agent()) == R"({"name":"pi-1","state":"forgotten","from":"online","at":"2023-11-14T22:13:20.000Z"})");
  CHECK(data_of({at, ModelEvent{pi, {"a\"b"}}}) ==
        R"({"agent":"pi-1","loaded_models":["a\"b"],"at":"2023-11-14T22:13:20.000Z"})");
  Temperature warm;
  warm.celsius = 61.5;
  CHECK(json::well_formed(data_of({at, TemperatureEvent{pi, warm}})));
}

TEST_CASE("the words for types are those of the events") {
  for (const Event& event : {task(), batch(), agent(), Event{at, TemperatureEvent{}}, Event{at, ModelEvent{}}}) {
    CHECK(parse_type(to_string(type_of(event))) == type_of(event));
  }
  CHECK(to_string(type_of(agent())) == "agent");
  CHECK_FALSE(parse_type("tasks"));
}

TEST_CASE("a filter takes what all of its conditions take") {
  Filter filter;
  CHECK((filter.takes(task()) && filter.takes(batch()) && filter.takes(agent())));
  filter.agent = pi;
  CHECK((filter.takes(task()) && !filter.takes(batch()) && filter.takes(agent())));
  filter = {};
  filter.capability = echo;
  CHECK((filter.takes(task()) && !filter.takes(batch()) && !filter.takes(agent())));
  filter = {};
  filter.batch = batch_id;
  CHECK((filter.takes(task()) && filter.takes(batch()) && !filter.takes(agent())));
  filter.batch = BatchId{Ulid{9, 9}};
  CHECK((!filter.takes(task()) && !filter.takes(batch())));
  filter = {};
  filter.types.fill(false);
  filter.types[static_cast<std::size_t>(Type::agent)] = true;
  CHECK((!filter.takes(task()) && !filter.takes(batch()) && filter.takes(agent())));
}

TEST_CASE("one who sees only their own gets no event of anybody else, and none that is nobody's") {
  Filter filter;
  filter.own = "alice";
  CHECK((filter.takes(task()) && filter.takes(batch()) && filter.takes(task("present:alice"))));
  CHECK((!filter.takes(task("bob")) && !filter.takes(batch("")) && !filter.takes(batch("bob")) &&
         !filter.takes(agent())));
}
