// Conclusions from a beat about the tasks that were assigned to its agent.
#include "coordinator/core/explain.hpp"
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
    c.receive(BrokerUp{});
    c.receive(AgentInfoSeen{agent("pi-1"), c.info("a", 1)});
  }
};

}  // namespace

TEST_CASE("the run time of a task is reported by its agent, so a restart of the coordinator does not lose it") {
  SECTION("the grace of a long task") {
    Restarted r(1h);
    r.c.beat("pi-1", "a", 0, {ran_for(r.id, 100s)});
    r.c.join("pi-2", "b");
    r.c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::lost, session("a")}});
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

TEST_CASE("an agent that beats but receives no tasks is given no others, and its tasks move without a spent attempt") {
  Conversation c;
  c.join("unreachable", "d");
  const auto id = c.submit();
  CHECK(c.holder(id) == "unreachable");
  c.join("pi-1", "a");
  for (int i = 0; i < 8; ++i) {
    c.pass(10s);
    c.beat("unreachable", "d", 1, {}, 0);
    c.beat("pi-1", "a", 1, {});
  }
  CHECK(c.holder(id) == "pi-1");
  CHECK_FALSE(c.task(id).attempts[0].spent);
  c.result("pi-1", id, ResultStatus::succeeded, 2);
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::offline, session("a")}});
  const auto other = c.submit();
  CHECK(c.task(other).state == TaskState::queued);
  CHECK(explain(c.state, capability("work"), {}).waiting.find("not receiving its tasks") != std::string::npos);
  for (int i = 0; i < 32; ++i) {
    c.pass(10s);
    c.beat("unreachable", "d", 1, {}, 0);
  }
  CHECK(c.holder(other) == "unreachable");  // tried again after five minutes
}

TEST_CASE("the wait for a result that is listed as done but does not arrive is bounded") {
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

TEST_CASE("a task that its agent stops without a request spends an attempt") {
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

TEST_CASE("a beat that waited while the coordinator was not running does not cause the last message to be sent again") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  REQUIRE(c.sent.size() == 1);
  c.now.mono += 25s;  // a commit that failed for this time, or a stopped process
  c.receive(Stalled{});
  c.beat("pi-1", "a", 1, {}, 0);  // from before the message
  CHECK(c.sent.size() == 1);
  c.now.mono += 2 * heartbeat_interval;
  c.beat("pi-1", "a", 1, {}, 0);
  CHECK(c.sent.size() == 2);
  CHECK(c.task(id).attempts.size() == 1);
}

TEST_CASE("a task that is listed as done has run, and its result is awaited") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.beat("pi-1", "a", 0, {c.holding(id, HeldPhase::done)});
  CHECK(c.task(id).state == TaskState::running);
  CHECK(explain_task(c.state, c.state.tasks.at(id), c.now.mono).find("sending the result") != std::string::npos);
}
