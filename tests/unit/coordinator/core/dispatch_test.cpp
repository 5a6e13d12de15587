#include <algorithm>

#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

AgentStatus lost(const std::string& life) { return {AgentState::lost, session(life)}; }

// One task whose agent was lost while it ran, and whose next attempt is its last.
TaskId lose_one(Conversation& c) {
  c.join("doomed", "d", 1);
  TaskSpec spec;
  spec.capability = capability("work");
  spec.max_attempts = 2;
  const auto id = c.submit(std::move(spec));
  c.beat("doomed", "d", 0, {Conversation::holding(id)});
  c.receive(AgentStatusSeen{agent("doomed"), lost("d")});
  return id;
}

// `count` tasks with a short expected run time, on an agent with one slot.
std::vector<TaskId> prefetched(Conversation& c, int count) {
  c.join("pi-1", "a", 1);
  for (int i = 0; i < 50; ++i) c.result("pi-1", c.submit());
  std::vector<TaskId> ids;
  for (int i = 0; i < count; ++i) ids.push_back(c.submit());
  return ids;
}

const SendRecall* recall(const Conversation& c) { return c.find<SendRecall>(); }

}  // namespace

TEST_CASE("one loss is no suspicion while attempts remain: all tasks of a lost agent are placed at once") {
  Conversation c;
  c.join("doomed", "d", 16);
  std::vector<TaskId> ids;
  std::vector<HeldTask> held;
  for (int n = 0; n < 16; ++n) {
    ids.push_back(c.submit());
    held.push_back(Conversation::holding(ids.back()));
  }
  c.beat("doomed", "d", 0, held);
  c.receive(AgentStatusSeen{agent("doomed"), lost("d")});
  c.join("pi-1", "a", 16);
  c.pass(3s);
  for (const auto& id : ids) CHECK(c.holder(id) == "pi-1");
  // The second loss is one: each of them runs alone from now on.
  for (HeldTask& one : held) one.attempt = 2;
  c.beat("pi-1", "a", 0, held);
  c.receive(AgentStatusSeen{agent("pi-1"), lost("a")});
  c.join("pi-2", "b", 16);
  c.pass(3s);
  CHECK(std::count_if(ids.begin(), ids.end(), [&](const auto& id) { return c.holder(id) == "pi-2"; }) == 1);
}

TEST_CASE("a task that lost its agent is placed alone, and no other task is placed on its agent") {
  Conversation c;
  const auto suspicious = lose_one(c);
  c.join("pi-1", "a", 4);
  c.pass(3s);
  CHECK(c.holder(suspicious) == "pi-1");
  const auto innocent = c.submit();
  CHECK(c.task(innocent).state == TaskState::queued);
  c.result("pi-1", suspicious, ResultStatus::succeeded, 2);
  CHECK(c.holder(innocent) == "pi-1");
}

TEST_CASE("a task that lost its agent explains that no agent can take it, before it explains that it must run alone") {
  Conversation c;
  const auto suspicious = lose_one(c);
  c.pass(3s);
  CHECK(explain_task(c.state, c.state.tasks.at(suspicious), c.now.mono) ==
        "no connected agent offers work; doomed (lost) did");
}

TEST_CASE("in a busy fleet an agent is emptied for a task that must run alone") {
  Conversation c;
  const auto suspicious = lose_one(c);
  c.join("pi-1", "a", 2);
  std::vector<TaskId> busy{c.submit(), c.submit()};
  c.beat("pi-1", "a", 0, {c.holding(busy[0]), c.holding(busy[1])});
  c.pass(3s);
  CHECK(c.task(suspicious).state == TaskState::queued);
  CHECK(explain_task(c.state, c.state.tasks.at(suspicious), c.now.mono).starts_with("an agent was lost while it ran"));
  const auto later = c.submit();
  c.result("pi-1", busy[0]);
  CHECK(c.task(later).state == TaskState::queued);  // a slot is free, but reserved
  CHECK(c.task(suspicious).state == TaskState::queued);
  c.result("pi-1", busy[1]);
  CHECK(c.holder(suspicious) == "pi-1");
  CHECK(c.task(later).state == TaskState::queued);
  c.result("pi-1", suspicious, ResultStatus::succeeded, 2);
  CHECK(c.holder(later) == "pi-1");
}

TEST_CASE("an agent whose emptying is no longer needed takes tasks again at once") {
  Conversation c;
  const auto suspicious = lose_one(c);
  c.join("pi-1", "a", 2);
  const auto busy = c.submit();
  c.beat("pi-1", "a", 1, {c.holding(busy)});
  c.pass(3s);
  const auto later = c.submit();
  CHECK(c.task(later).state == TaskState::queued);
  c.receive(CancelTask{2, suspicious});
  c.place();
  CHECK(c.holder(later) == "pi-1");
}

TEST_CASE("a task whose agent was lost before the task began is no suspect") {
  Conversation c;
  c.join("doomed", "d", 1);
  const auto id = c.submit();
  c.beat("doomed", "d", 0, {Conversation::holding(id, HeldPhase::waiting)});
  c.join("pi-1", "a", 2);
  const auto other = c.submit();
  c.receive(AgentStatusSeen{agent("doomed"), lost("d")});
  c.pass(3s);
  CHECK(c.holder(id) == "pi-1");
  CHECK(c.holder(other) == "pi-1");
}

TEST_CASE("a task that waits at an agent for longer than expected is recalled, and other agents are then preferred") {
  Conversation c;
  const auto ids = prefetched(c, 3);
  REQUIRE(c.holder(ids[1]) == "pi-1");
  c.beat("pi-1", "a", 0, {c.holding(ids[0]), c.holding(ids[1], HeldPhase::waiting)});
  c.join("pi-2", "b", 2);
  c.pass(1900ms);
  CHECK(recall(c) == nullptr);
  c.now.mono += 200ms;
  c.receive(Tick{});
  REQUIRE(recall(c) != nullptr);
  const auto& keys = recall(c)->tasks;
  CHECK(std::find(keys.begin(), keys.end(), AttemptKey{ids[1], 1}) != keys.end());
  CHECK(std::find(keys.begin(), keys.end(), AttemptKey{ids[0], 1}) == keys.end());  // it runs
  c.result("pi-1", ids[1], ResultStatus::returned, 1, TaskError{"recalled", "wanted back", true, {}});
  CHECK(c.holder(ids[1]) == "pi-2");
  CHECK_FALSE(c.task(ids[1]).attempts[0].spent);
}

TEST_CASE("a recall that was lost is repeated, and none is sent without need") {
  Conversation c;
  const auto ids = prefetched(c, 2);
  c.beat("pi-1", "a", 0, {c.holding(ids[0]), c.holding(ids[1], HeldPhase::waiting)});
  int recalls = 0;
  for (int i = 0; i < 5; ++i) {
    c.now.mono += 2100ms;
    c.receive(Tick{});
    if (recall(c) != nullptr) ++recalls;
  }
  CHECK(recalls == 5);
  c.result("pi-1", ids[1]);
  for (int i = 0; i < 3; ++i) {
    c.now.mono += 2100ms;
    c.receive(Tick{});
    CHECK(recall(c) == nullptr);
  }
}

TEST_CASE("a task that reached an agent just after its slots were reduced is recalled, and runs elsewhere") {
  Conversation c;
  c.join("hot", "h", 4);
  std::vector<TaskId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(c.submit());
  const auto late = c.submit();
  std::vector<HeldTask> held;
  for (const auto& id : ids) held.push_back(c.holding(id));
  c.beat("hot", "h", 0, held);  // half the slots from now on, but the beat looks as if all were in use
  c.result("hot", ids[0]);
  REQUIRE(c.holder(late) == "hot");
  held.erase(held.begin());
  held.push_back(c.holding(late, HeldPhase::waiting));
  c.beat("hot", "h", 0, held);
  c.join("cool", "c", 1);
  c.now.mono += 2100ms;
  c.receive(Tick{});
  REQUIRE(recall(c) != nullptr);
  CHECK(recall(c)->tasks == std::vector<AttemptKey>{{late, 1}});
  c.result("hot", late, ResultStatus::returned, 1, TaskError{"recalled", "wanted back", true, {}});
  CHECK(c.holder(late) == "cool");
}
