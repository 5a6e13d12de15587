// After a restore: the unfinished tasks of the backup wait for the operator, new ones do not.
#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

TaskRecord restored(std::uint64_t n, TaskState state = TaskState::queued) {
  TaskRecord record;
  record.id = TaskId{Ulid{5, n}};
  record.spec.capability = capability("work");
  record.state = state;
  return record;
}

// A coordinator that has just started on a restored store with these tasks.
Conversation after_restore(std::vector<TaskRecord> records) {
  Conversation c;
  for (const auto& record : records) c.state.on_hold.insert(record.id);
  recover(c.state, std::move(records), c.now);
  return c;
}

}  // namespace

TEST_CASE("held tasks are placed only after their release, new ones at once") {
  auto c = after_restore({restored(1), restored(2)});
  c.join("pi-1", "a", 4);
  CHECK(c.sent.empty());
  const auto id = c.submit();
  CHECK(c.holder(id) == "pi-1");
  CHECK(explain_task(c.state, c.state.tasks.at(restored(1).id), c.now.mono).find("held") != std::string::npos);

  c.receive(ReleaseHeld{9});
  CHECK(c.find<SaveReleased>() != nullptr);
  CHECK(c.find<Done>()->request == 9);
  c.place();
  CHECK(c.holder(restored(1).id) == "pi-1");
  CHECK(c.holder(restored(2).id) == "pi-1");
  CHECK(c.state.on_hold.empty());
}

TEST_CASE("a held task that becomes due is placed only after its release") {
  auto scheduled = restored(1, TaskState::scheduled);
  scheduled.due_in = 10s;
  auto c = after_restore({scheduled});
  c.join("pi-1", "a");
  c.pass(11s);
  CHECK(c.task(scheduled.id).state == TaskState::queued);
  CHECK(c.sent.empty());
  c.receive(ReleaseHeld{1});
  c.place();
  CHECK(c.holder(scheduled.id) == "pi-1");
}

TEST_CASE("a held task that is released before it is due starts when it is due") {
  auto scheduled = restored(1, TaskState::scheduled);
  scheduled.due_in = 10s;
  auto c = after_restore({scheduled});
  c.join("pi-1", "a");
  c.receive(ReleaseHeld{1});
  c.place();
  CHECK(c.sent.empty());
  c.beat("pi-1", "a", 1, {});
  c.pass(11s);
  CHECK(c.holder(scheduled.id) == "pi-1");
}

TEST_CASE("a held task can be cancelled, and the result of an agent that still has it is accepted") {
  auto running = restored(2);
  Attempt attempt;
  attempt.agent = agent("pi-1");
  attempt.session = session("a");
  attempt.state = AttemptState::lost;
  attempt.spent = false;
  running.attempts.push_back(attempt);
  auto c = after_restore({restored(1), running});
  c.receive(CancelTask{1, restored(1).id});
  CHECK(c.task(restored(1).id).state == TaskState::cancelled);
  c.join("pi-1", "a", 2);
  c.result("pi-1", running.id);
  CHECK(c.task(running.id).state == TaskState::succeeded);
  c.commit();
  CHECK(c.state.on_hold.empty());
}
