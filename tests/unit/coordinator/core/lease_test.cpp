// What a beat proves about the tasks that an agent was given.
#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

HeldTask ran_for(const TaskId& id, Duration run) {
  HeldTask held = Conversation::holding(id);
  held.run = run;
  return held;
}

// A coordinator that was restarted while pi-1 ran a task.
struct Restarted {
  Conversation c;
  TaskId id;
  explicit Restarted(Duration timeout) {
    Conversation before;
    before.join("pi-1", "a");
    TaskSpec spec;
    spec.capability = capability("work");
    spec.timeout = timeout;
    id = before.submit(spec);
    before.beat("pi-1", "a", 0, {Conversation::holding(id)});
    recover(c.state, {before.kept(id)}, c.now);
    c.hear(BrokerUp{});
    c.hear(AgentInfoSeen{agent("pi-1"), c.info("a", 1)});
  }
};

}  // namespace

TEST_CASE("how long a task has run is the agent's word, so a restart of the coordinator forgets nothing") {
  SECTION("the grace of a long task") {
    Restarted r(1h);
    r.c.beat("pi-1", "a", 0, {ran_for(r.id, 100s)});
    r.c.join("pi-2", "b");
    r.c.hear(AgentStatusSeen{agent("pi-1"), {AgentState::lost, session("a")}});
    r.c.pass(9s);
    CHECK(r.c.holder(r.id) == "pi-1");
    r.c.pass(2s);
    CHECK(r.c.holder(r.id) == "pi-2");
  }
  SECTION("a timeout") {
    Restarted r(5s);
    r.c.beat("pi-1", "a", 0, {ran_for(r.id, 24s)});
    CHECK(r.c.task(r.id).state == TaskState::running);
    r.c.pass(2s);
    r.c.beat("pi-1", "a", 0, {ran_for(r.id, 26s)});
    CHECK(r.c.task(r.id).attempts[0].error->code == "timed_out");
  }
}

TEST_CASE("an agent that beats but gets nothing is given nothing more, and its tasks go elsewhere unspent") {
  Conversation c;
  c.join("deaf", "d");
  const auto id = c.submit();
  CHECK(c.holder(id) == "deaf");
  c.join("pi-1", "a");
  for (int i = 0; i < 8; ++i) {
    c.pass(10s);
    c.beat("deaf", "d", 1, {}, 0);
    c.beat("pi-1", "a", 1, {});
  }
  CHECK(c.holder(id) == "pi-1");
  CHECK_FALSE(c.task(id).attempts[0].spent);
  c.result("pi-1", id, ResultStatus::succeeded, 2);
  c.hear(AgentStatusSeen{agent("pi-1"), {AgentState::offline, session("a")}});
  const auto other = c.submit();
  CHECK(c.task(other).state == TaskState::queued);
  CHECK(explain(c.state, capability("work"), {}).waiting.find("not getting its tasks") != std::string::npos);
  for (int i = 0; i < 32; ++i) {
    c.pass(10s);
    c.beat("deaf", "d", 1, {}, 0);
  }
  CHECK(c.holder(other) == "deaf");  // tried again after five minutes
}

TEST_CASE("a result that is said to be there and does not come is not waited for without end") {
  Conversation c;
  c.join("pi-1", "a");
  TaskSpec spec;
  spec.capability = capability("work");
  spec.timeout = 1s;
  const auto id = c.submit(spec);
  for (int i = 0; i < 6; ++i) {
    c.beat("pi-1", "a", 0, {c.holding(id, HeldPhase::done)});
    c.pass(10s);
  }
  CHECK(c.holder(id) == "pi-1");
  c.pass(1s);
  c.beat("pi-1", "a", 0, {c.holding(id, HeldPhase::done)});
  CHECK(c.task(id).attempts[0].error->code == "result_missing");
  CHECK(c.task(id).state == TaskState::scheduled);
}

TEST_CASE("an agent that stops a task unasked spends an attempt each time") {
  Conversation c;
  c.join("pi-1", "a");
  TaskSpec spec;
  spec.capability = capability("work");
  spec.max_attempts = 1;
  const auto id = c.submit(spec);
  c.result("pi-1", id, ResultStatus::cancelled);
  CHECK(c.task(id).state == TaskState::failed);
  CHECK(c.task(id).error->code == "stopped");
}

TEST_CASE("a beat that waited while the coordinator stood still does not have the last message sent again") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  REQUIRE(c.sent.size() == 1);
  c.now.mono += 25s;  // a commit that failed so long, or a stopped process
  c.hear(Stalled{});
  c.beat("pi-1", "a", 1, {}, 0);  // from before the message
  CHECK(c.sent.size() == 1);
  c.now.mono += 2 * heartbeat_interval;
  c.beat("pi-1", "a", 1, {}, 0);
  CHECK(c.sent.size() == 2);
  CHECK(c.task(id).attempts.size() == 1);
}
