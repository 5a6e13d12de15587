#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {
TaskSpec work() {
  TaskSpec spec;
  spec.capability = capability("work");
  return spec;
}
const TaskError retryable{"hiccup", "again", true, {}};
const TaskError fatal{"bad_input", "never", false, {}};
}  // namespace

TEST_CASE("a task goes to an agent that offers its capability, and its result is its outcome") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  REQUIRE(c.sent.size() == 1);
  CHECK(c.sent[0].agent == agent("pi-1"));
  CHECK(c.task(id).state == TaskState::assigned);
  c.result("pi-1", id);
  CHECK(c.task(id).state == TaskState::succeeded);
  CHECK(c.task(id).output == "42");
  REQUIRE(c.find<SendAcknowledge>() != nullptr);
  CHECK(c.find<SaveTask>() != nullptr);
}

TEST_CASE("a repeated or late result changes nothing and is acknowledged") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.result("pi-1", id);
  c.result("pi-1", id, ResultStatus::failed, 1, fatal);
  CHECK(c.task(id).state == TaskState::succeeded);
  CHECK(c.find<SendAcknowledge>() != nullptr);
  CHECK(c.find<SaveTask>() == nullptr);
  c.commit();
  CHECK(c.state.tasks.empty());
  c.result("pi-1", id);
  CHECK(c.find<AskStore>() != nullptr);
}

TEST_CASE("a result counts only from the agent that was given the attempt") {
  Conversation c;
  c.join("pi-1", "a");
  c.join("pi-2", "b", 1, "other");
  const auto id = c.submit();
  c.result("pi-2", id);
  CHECK(c.task(id).state == TaskState::assigned);
  CHECK(c.find<SendAcknowledge>() != nullptr);
  c.result("pi-1", id, ResultStatus::succeeded, 5);
  CHECK(c.task(id).state == TaskState::assigned);
}

TEST_CASE("a retryable failure is tried again after a pause, elsewhere if possible, until the attempts are used up") {
  Conversation c;
  c.join("pi-1", "a");
  c.join("pi-2", "b");
  const auto id = c.submit();
  const auto first = c.holder(id);
  c.result(first, id, ResultStatus::failed, 1, retryable);
  CHECK(c.task(id).state == TaskState::scheduled);
  c.pass(1s);
  const auto second = c.holder(id);
  REQUIRE_FALSE(second.empty());
  CHECK(second != first);
  c.result(second, id, ResultStatus::failed, 2, retryable);
  c.pass(2s);
  c.result(c.holder(id), id, ResultStatus::failed, 3, retryable);
  CHECK(c.task(id).state == TaskState::failed);
  CHECK(c.task(id).error->code == "hiccup");
  CHECK(c.task(id).attempts.size() == 3);
}

TEST_CASE("a failure that is the task's own fault ends it at once") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.result("pi-1", id, ResultStatus::failed, 1, fatal);
  CHECK(c.task(id).state == TaskState::failed);
  CHECK(c.task(id).attempts.size() == 1);
}

TEST_CASE("a returned task spends no attempt, and its executor is full until the next beat") {
  Conversation c;
  c.join("pi-1", "a", 4);
  const auto id = c.submit();
  c.result("pi-1", id, ResultStatus::returned);
  CHECK(c.task(id).state == TaskState::queued);
  CHECK_FALSE(c.task(id).attempts[0].spent);
  c.pass(1s);
  CHECK(c.task(id).state == TaskState::queued);
  c.beat("pi-1", "a", 4, {});
  CHECK(c.task(id).state == TaskState::assigned);
}

TEST_CASE("a queued task is cancelled at once and never starts") {
  Conversation c;
  const auto id = c.submit();
  c.receive(CancelTask{9, id});
  CHECK(c.find<Done>() != nullptr);
  CHECK(c.task(id).state == TaskState::cancelled);
  c.join("pi-1", "a");
  CHECK(c.sent.empty());
}

TEST_CASE("a running task is cancelled when its agent confirms, and the cancel is repeated at each beat until then") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.beat("pi-1", "a", 0, {c.holding(id)});
  CHECK(c.task(id).state == TaskState::running);
  c.receive(CancelTask{9, id});
  CHECK(c.task(id).state == TaskState::cancelling);
  CHECK(c.cancels.size() == 1);
  c.beat("pi-1", "a", 0, {c.holding(id)});
  CHECK(c.cancels.size() == 2);
  SECTION("confirmed") {
    c.result("pi-1", id, ResultStatus::cancelled);
    CHECK(c.task(id).state == TaskState::cancelled);
    CHECK_FALSE(c.task(id).error);
  }
  SECTION("it finished first") {
    c.result("pi-1", id);
    CHECK(c.task(id).state == TaskState::succeeded);
  }
  SECTION("the agent is lost and does not come back") {
    c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::lost, session("a")}});
    c.pass(3s);
    CHECK(c.task(id).state == TaskState::cancelled);
    CHECK(c.task(id).error->code == "stop_unconfirmed");
  }
}

TEST_CASE("a delayed task starts when its time has come, an expired one never") {
  Conversation c;
  auto later = work();
  later.delay = 10s;
  const auto delayed = c.submit(later);
  auto brief = work();
  brief.expires_after = 5s;
  const auto expiring = c.submit(brief);
  c.pass(6s);
  CHECK(c.task(expiring).state == TaskState::expired);
  CHECK(c.task(delayed).state == TaskState::scheduled);
  c.pass(5s);
  CHECK(c.task(delayed).state == TaskState::queued);
}

TEST_CASE("a task of higher priority is placed first, unless another one has waited long enough") {
  Conversation c;
  const auto old = c.submit();
  c.pass(61s);
  auto urgent = work();
  urgent.priority = 1;
  const auto young = c.submit(urgent);
  auto more_urgent = work();
  more_urgent.priority = 2;
  const auto first = c.submit(more_urgent);
  c.join("pi-1", "a");
  CHECK(c.holder(first) == "pi-1");
  c.result("pi-1", first);
  CHECK(c.holder(old) == "pi-1");  // it has waited for longer than one step of priority is worth
  c.result("pi-1", old);
  CHECK(c.holder(young) == "pi-1");
}

TEST_CASE("a task that may run once is not run again when its agent is lost") {
  Conversation c;
  c.join("pi-1", "a");
  auto once = work();
  once.max_attempts = 1;
  const auto id = c.submit(once);
  c.beat("pi-1", "a", 0, {c.holding(id)});
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::lost, session("a")}});
  c.pass(3s);
  CHECK(c.task(id).state == TaskState::failed);
  CHECK(c.task(id).error->code == "outcome_unknown");
}

TEST_CASE("a full queue refuses a submit with `busy` and accepts nothing") {
  Conversation c;
  c.state.policy.most_tasks = 2;
  for (int i = 0; i < 2; ++i) c.receive(SubmitTasks{1, "http", {}, {{work(), {}}}});
  c.receive(SubmitTasks{5, "http", {}, {{work(), {}}}});
  REQUIRE(c.find<Rejected>() != nullptr);
  CHECK(c.find<Rejected>()->error.kind == ErrorKind::busy);
  CHECK(c.state.tasks.size() == 2);
}

TEST_CASE("a failed task can be retried by an operator and keeps its history") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.result("pi-1", id, ResultStatus::failed, 1, fatal);
  const TaskRecord kept = c.task(id);
  c.commit();
  c.receive(RetryTask{3, kept});
  CHECK(c.find<Done>() != nullptr);
  c.place();
  CHECK(c.task(id).state == TaskState::assigned);
  CHECK(c.task(id).attempts.size() == 2);
  CHECK(c.task(id).attempts[1].n == 2);
  c.result("pi-1", id, ResultStatus::succeeded, 2);
  CHECK(c.task(id).state == TaskState::succeeded);
}

TEST_CASE("the reason why a task waits is reported") {
  Conversation c;
  auto why = [&] { return explain(c.state, capability("work"), {}); };
  CHECK(why().waiting == "no agent offers work");
  c.join("pi-1", "a");
  CHECK(why().waiting.empty());
  CHECK(why().eligible == 1);
  const auto id = c.submit();
  CHECK(why().waiting == "1 agent offers work, it is busy");
  CHECK(explain(c.state, capability("work"), {{"room", "attic"}}).waiting ==
        "1 agent offers work, none meets room=attic; none has a label room");
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::overheated, session("a")}});
  CHECK(why().waiting == "1 agent offers work, it is paused for heat");
  CHECK(why().eligible == 0);
  const auto second = c.submit();
  const auto third = c.submit();
  CHECK(ahead(c.state, c.state.tasks.at(third)) == 1);
  CHECK(ahead(c.state, c.state.tasks.at(second)) == 0);
  CHECK(c.holder(id) == "pi-1");
}

TEST_CASE("the reason for waiting names what there is instead of what is asked for") {
  Conversation c;
  const auto join = [&](const std::string& name, int cpus, std::uint64_t mb, std::uint64_t gpu_mb, Labels labels) {
    constexpr std::uint64_t mib = 1024 * 1024;
    AgentInfo info = c.info(name, 1);
    info.cpus = cpus;
    info.memory_bytes = mb * mib;
    if (gpu_mb > 0) info.gpus = {{"small", mib}, {"large", gpu_mb * mib}};
    info.labels = std::move(labels);
    c.receive(AgentInfoSeen{agent(name), info});
    c.beat(name, name, 1, {});
    c.receive(AgentStatusSeen{agent(name), {AgentState::online, session(name)}});
  };
  join("pi-1", 4, 3793, 0, {{"room", "attic"}});
  join("pi-2", 2, 7900, 512, {{"room", "cellar"}});
  const auto why = [&](const Where& where) { return explain(c.state, capability("work"), where); };
  CHECK(why({{"memory_mb", ">=4000"}}).eligible == 1);
  CHECK(why({{"memory_mb", ">=3000"}, {"cpus", "4"}}).eligible == 1);
  CHECK(why({{"cpus", "2"}}).eligible == 1);
  CHECK(why({{"gpu_memory_mb", ">=512"}}).eligible == 1);
  CHECK(why({{"gpu_memory_mb", "<1"}}).eligible == 1);
  CHECK(why({{"memory_mb", ">=16000"}}).waiting ==
        "2 agents offer work, none meets memory_mb>=16000; the largest memory_mb there is: 7900 (pi-2)");
  CHECK(why({{"cpus", "<2"}}).waiting ==
        "2 agents offer work, none meets cpus<2; the smallest cpus there is: 2 (pi-2)");
  CHECK(why({{"rom", "attic"}}).waiting ==
        "2 agents offer work, none meets rom=attic; none has a label rom; did you mean room?");
  CHECK(why({{"cpu", "4"}}).waiting ==
        "2 agents offer work, none meets cpu=4; none has a label cpu; did you mean cpus?");
  CHECK(why({{"room", "kitchen"}}).waiting == "2 agents offer work, none meets room=kitchen");
  // Each can be met, but not both by one agent.
  CHECK(why({{"cpus", "4"}, {"memory_mb", ">4000"}}).waiting ==
        "2 agents offer work, none meets cpus=4, memory_mb>4000");
}

TEST_CASE("an agent counts once, however many of its executors offer the capability") {
  Conversation c;
  for (const char* name : {"pi-1", "pi-2"}) c.join(name, name);
  for (const char* name :
       {"pi-2", "pi-1"}) {  // in the reverse order, so that the executors of one agent are not adjacent
    AgentInfo two = c.info(name, 1);
    two.executors.push_back(two.executors.front());
    two.executors.back().name = executor_name("other");
    two.executors.front().problem = "it died";
    c.receive(AgentInfoSeen{agent(name), two});
  }
  c.receive(AgentStatusSeen{agent("pi-2"), {AgentState::overheated, session("pi-2")}});
  const auto why = explain(c.state, capability("work"), {});
  CHECK(why.offering == 2);
  CHECK(why.eligible == 1);  // by the executor that is only full
  CHECK(why.waiting == "2 agents offer work: 1 full, 1 paused for heat");
}

TEST_CASE("an agent with a resting executor is eligible") {
  Conversation c;
  c.join("pi-1", "a");
  AgentInfo rests = c.info("a", 1, "work");
  rests.executors.at(0).problem = "again in 7 s";
  for (const bool soon : {true, false}) {
    rests.executors.at(0).rests = soon;
    c.receive(AgentInfoSeen{agent("pi-1"), rests});
    c.beat("pi-1", "a", 0, {});
    const auto why = explain(c.state, capability("work"), {});
    CHECK(why.eligible == (soon ? 1 : 0));
    CHECK(why.meeting == 1);
    CHECK(why.waiting.find("again in 7 s") != std::string::npos);
  }
}

TEST_CASE("the executor of an attempt is the one that was chosen for it") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  CHECK(executor_of(c.state, c.state.tasks.at(id), 1) == c.info("a", 1).executors.at(0).name);
  CHECK(executor_of(c.state, c.state.tasks.at(id), 2).empty());
  c.result("pi-1", id, ResultStatus::succeeded, 1);
  CHECK(executor_of(c.state, c.state.tasks.at(id), 1).empty());
}

TEST_CASE("a task waits for an executor that is out of service, and the explanation gives the reason") {
  Conversation c;
  c.join("pi-1", "a");
  AgentInfo down = c.info("a", 1, "work");
  down.executors.at(0).problem = "plug-in x died";
  c.receive(AgentInfoSeen{agent("pi-1"), down});
  c.beat("pi-1", "a", 0, {});
  const auto id = c.submit();
  CHECK(c.task(id).state == TaskState::queued);
  const auto why = explain(c.state, capability("work"), {});
  CHECK(why.waiting == "1 agent offers work, it is out of service (plug-in x died)");
  CHECK(why.eligible == 0);
  c.receive(AgentInfoSeen{agent("pi-1"), c.info("a", 1, "work")});
  c.beat("pi-1", "a", 1, {});
  c.place();
  CHECK(c.task(id).state == TaskState::assigned);
}

TEST_CASE("a message of tasks keeps the bounds on elements and bytes") {
  Conversation c;
  auto large = work();
  large.input = '"' + std::string(100'000, 'x') + '"';
  for (int i = 0; i < 5; ++i) c.submit(large);
  for (int i = 0; i < 300; ++i) c.submit();
  c.join("pi-1", "a", 400);
  std::size_t all = 0;
  std::uint64_t n = 0;
  for (const auto& message : c.sent) {
    CHECK(message.tasks.size() <= limits::message_elements);
    CHECK(message.n == ++n);
    std::size_t bytes = 0;
    for (const auto& key : message.tasks) bytes += c.task(key.id).spec.input.size();
    CHECK(bytes <= limits::payload_bytes);
    all += message.tasks.size();
  }
  CHECK(all == 305);
}

TEST_CASE("an input in a file goes to an agent that takes its size, and to no other") {
  Conversation c;
  c.join("pi-0", "a", 4);
  auto large = work();
  large.input_at = TextFile{"sha256-x", 3'000'000, {}};
  const auto id = c.submit(large);
  CHECK(c.task(id).state == TaskState::queued);
  const auto why = explain_task(c.state, c.state.tasks.at(id), c.now.mono);
  CHECK(why.find("max_task_mb>=3") != std::string::npos);
  CHECK(why.find("the largest max_task_mb there is: 0 (pi-0)") != std::string::npos);
  CHECK(c.task(c.submit()).state == TaskState::assigned);
  auto info = c.info("a", 4);
  info.max_task_bytes = 2 * 1024 * 1024;
  c.receive(AgentInfoSeen{agent("pi-0"), info});
  c.place();
  CHECK(c.task(id).state == TaskState::queued);
  info.max_task_bytes = 3 * 1024 * 1024;
  c.receive(AgentInfoSeen{agent("pi-0"), info});
  c.place();
  CHECK(c.task(id).state == TaskState::assigned);
}

TEST_CASE("an output in a file is the outcome, unless it is over the bound") {
  Conversation c;
  c.state.policy.max_task_bytes = 1'000'000;
  c.join("pi-1", "a", 2);
  const auto report = [&](const TaskId& id, std::uint64_t bytes) {
    TaskResult result;
    result.id = id;
    result.output_at = TextFile{"sha256-x", bytes, {}};
    c.receive(ResultsSeen{agent("pi-1"), {result}});
  };
  const auto fits = c.submit();
  report(fits, 1'000'000);
  CHECK(c.task(fits).state == TaskState::succeeded);
  CHECK(c.task(fits).output_at->bytes == 1'000'000);
  CHECK(c.task(fits).output.empty());
  const auto over = c.submit();
  report(over, 1'000'001);
  CHECK(c.task(over).state == TaskState::failed);
  CHECK(c.task(over).error->code == "output_too_large");
  CHECK_FALSE(c.task(over).output_at);
}

TEST_CASE("an agent's reason is cut in the history, and it cannot put a task off for longer than an hour") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  const TaskError error{"rate_limited", std::string(4000, 'x'), true, 24h * 30};
  c.result("pi-1", id, ResultStatus::failed, 1, error);
  CHECK(c.task(id).attempts.front().error->message.size() == 512);
  CHECK(*c.state.tasks.at(id).due == c.now.mono + 1h);
  const auto other = c.submit();
  c.result("pi-1", other, ResultStatus::failed, 1, TaskError{"broken", std::string(4000, 'x'), false, {}});
  CHECK(c.task(other).error->message.size() == 4000);
}

TEST_CASE("an output in a file is forgotten when its task is tried again") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  TaskResult result;
  result.id = id;
  result.status = ResultStatus::failed;
  result.error = TaskError{"exit_status", "exit code 1", true, {}};
  result.output_at = TextFile{"sha256-x", 400'000, {}};
  c.receive(ResultsSeen{agent("pi-1"), {result}});
  CHECK(c.task(id).state == TaskState::scheduled);
  CHECK_FALSE(c.task(id).output_at);
}

TEST_CASE("a task that is returned each time at once is placed again at growing intervals") {
  Conversation c;
  c.join("returning", "m");
  const auto id = c.submit();
  const auto second = [&] {
    if (c.holder(id) == "returning") {
      c.result("returning", id, ResultStatus::returned, c.task(id).attempts.back().n,
               TaskError{"full", "no room", true, {}});
    }
    c.pass(1s);
    c.beat("returning", "m", 1, {});
  };
  for (int i = 0; i < 3600; ++i) second();
  CHECK(c.task(id).attempts.back().n > 60);  // it is tried again and again,
  CHECK(c.task(id).attempts.back().n < 300);  // but not at each beat
  c.join("accepting", "k");
  for (int i = 0; i < 61 && c.holder(id) != "accepting"; ++i) {
    second();
    c.beat("accepting", "k", 1, {});
  }
  CHECK(c.holder(id) == "accepting");
}

TEST_CASE("an attempt that no beat has ever listed ends after its timeout, however often later messages arrive") {
  Conversation c;
  c.join("pi-1", "a", 4);
  TaskSpec spec;
  spec.capability = capability("work");
  spec.timeout = 30s;
  const auto lost = c.submit(spec);
  const auto begun = c.now.mono;
  std::size_t rounds = 0;
  while (c.task(lost).attempts.front().state == AttemptState::assigned && ++rounds < 30) {
    c.pass(heartbeat_interval);
    const auto other = c.submit();  // its message arrives: the agent receives what follows, but never this one
    c.beat("pi-1", "a", 3, {Conversation::holding(other)});
    c.result("pi-1", other);
    c.commit();
  }
  const auto& attempt = c.task(lost).attempts.front();
  CHECK(attempt.state == AttemptState::failed);
  CHECK(attempt.error->code == "not_delivered");
  CHECK(attempt.spent);
  CHECK(c.now.mono - begun > 30s + 2 * heartbeat_interval);
  CHECK(c.now.mono - begun <= 30s + 4 * heartbeat_interval);
}

TEST_CASE("a cancel of an attempt that no beat has ever listed ends too") {
  Conversation c;
  c.join("pi-1", "a", 4);
  TaskSpec spec;
  spec.capability = capability("work");
  spec.timeout = 30s;
  const auto id = c.submit(spec);
  c.receive(CancelTask{5, id});
  for (int n = 0; n < 20 && c.task(id).state == TaskState::cancelling; ++n) {
    c.pass(heartbeat_interval);
    c.beat("pi-1", "a", 4, {});
  }
  CHECK(c.task(id).state == TaskState::cancelled);
}

TEST_CASE("the time to start ends a task that waits at an agent or never arrived there, and none that runs") {
  Conversation c;
  c.join("pi-1", "a", 1);
  TaskSpec spec;
  spec.capability = capability("work");
  spec.expires_after = 10s;
  const auto id = c.submit(spec);
  REQUIRE(c.holder(id) == "pi-1");
  SECTION("it waits there") {
    c.pass(11s);
    c.beat("pi-1", "a", 0, {Conversation::holding(id, HeldPhase::waiting)});
    CHECK(c.task(id).state == TaskState::expired);
    CHECK(c.cancels.back().agent == agent("pi-1"));
  }
  SECTION("it never arrived") {
    c.pass(11s);
    c.beat("pi-1", "a", 1, {});
    CHECK(c.task(id).state == TaskState::expired);
  }
  SECTION("it runs") {
    c.pass(11s);
    c.beat("pi-1", "a", 0, {Conversation::holding(id)});
    CHECK(c.task(id).state == TaskState::running);
  }
}

TEST_CASE("a task that the broker can never take fails at once, with the reason, and nothing else does") {
  Conversation c;
  c.join("pi-1", "a", 4);
  const auto large = c.submit();
  const auto other = c.submit();
  c.receive(Undeliverable{{{large, 1}, {large, 2}, {TaskId{}, 1}}, "the largest packet has 20000 bytes"});
  CHECK(c.task(large).state == TaskState::failed);
  CHECK(c.task(large).error->code == "undeliverable");
  CHECK(c.task(large).error->message.find("20000 bytes") != std::string::npos);
  CHECK(c.task(other).state == TaskState::assigned);
  c.beat("pi-1", "a", 3, {c.holding(other)});
  c.receive(Undeliverable{{{other, 1}}, "late"});  // it has arrived after all
  CHECK(c.task(other).state == TaskState::running);
}

TEST_CASE("agents that are gone count in no reason, and are named where no other agent meets the conditions") {
  Conversation c;
  const auto why = [&c](const Where& where) { return explain(c.state, capability("work"), where).waiting; };
  c.join("pi-1", "a");
  c.join("pi-2", "b");
  c.receive(AgentStatusSeen{agent("pi-2"), {AgentState::lost, session("b")}});
  c.submit();
  CHECK(why({}) == "1 agent offers work, it is busy");
  CHECK(why({{"agent", "pi-2"}}) == "1 agent offers work, none meets agent=pi-2; pi-2 (lost) did");
  CHECK(why({{"agent", "pi-9"}}) == "1 agent offers work, none meets agent=pi-9");
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::offline, session("a")}});
  CHECK(why({}) == "no connected agent offers work; pi-1 (offline), pi-2 (lost) did");
  c.receive(RemoveAgent{1, agent("pi-2")});
  CHECK(why({{"agent", "pi-2"}}) == "no agent offers work");
}
