#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {
AgentStatus lost(const std::string& life) { return {AgentState::lost, session(life)}; }
}  // namespace

TEST_CASE("no task is placed on an agent before a live beat that names this reign") {
  Conversation c;
  const auto id = c.submit();
  c.receive(AgentInfoSeen{agent("pi-1"), c.info("a", 1)});
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::online, session("a")}});
  c.place();
  CHECK(c.task(id).state == TaskState::queued);
  auto old = c.heartbeat("a", 1, {}, 0);
  old.coordinator = Reign{6, session("before")};
  c.receive(HeartbeatSeen{agent("pi-1"), old});
  c.place();
  CHECK(c.task(id).state == TaskState::queued);
  c.beat("pi-1", "a", 1, {});
  CHECK(c.task(id).state == TaskState::assigned);
}

TEST_CASE("a young task of a lost agent starts elsewhere after two seconds") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.beat("pi-1", "a", 0, {c.holding(id)});
  c.join("pi-2", "b");
  c.pass(1s);
  c.receive(AgentStatusSeen{agent("pi-1"), lost("a")});
  c.pass(1900ms);
  CHECK(c.holder(id) == "pi-1");
  c.pass(200ms);
  CHECK(c.holder(id) == "pi-2");
  CHECK(c.task(id).attempts[0].state == AttemptState::lost);
}

TEST_CASE("a long task is given a tenth of its run before it moves") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.beat("pi-1", "a", 0, {c.holding(id)});
  for (int i = 0; i < 20; ++i) {
    c.pass(10s);
    c.beat("pi-1", "a", 0, {c.holding(id)});
  }
  c.join("pi-2", "b");
  c.receive(AgentStatusSeen{agent("pi-1"), lost("a")});
  c.pass(19s);
  CHECK(c.holder(id) == "pi-1");
  c.beat("pi-2", "b", 1, {});
  c.pass(2s);
  CHECK(c.holder(id) == "pi-2");
}

TEST_CASE("the will of an earlier session is ignored") {
  Conversation c;
  c.join("pi-1", "a");
  c.join("pi-1", "b");
  c.receive(AgentStatusSeen{agent("pi-1"), lost("a")});
  CHECK(c.state.agents[0].status.state == AgentState::online);
  CHECK(placeable(c.state, c.state.agents[0]));
}

TEST_CASE("silence of three beats counts as a loss, and a beat brings the agent back") {
  Conversation c;
  c.join("pi-1", "a");
  c.pass(29s);
  CHECK(c.state.agents[0].status.state == AgentState::online);
  c.pass(2s);
  CHECK(c.state.agents[0].status.state == AgentState::lost);
  c.beat("pi-1", "a", 1, {});
  CHECK(c.state.agents[0].status.state == AgentState::online);
}

TEST_CASE("time in which the coordinator had no broker counts against no agent") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.receive(BrokerDown{});
  c.pass(1h);
  CHECK(c.state.agents[0].status.state == AgentState::online);
  c.receive(BrokerUp{});
  c.pass(29s);
  CHECK(c.holder(id) == "pi-1");
  CHECK(c.state.agents[0].status.state == AgentState::online);
}

TEST_CASE("a task that a beat does not list, though its message was seen, is sent again as the same attempt") {
  Conversation c;
  c.join("pi-1", "a", 2);
  const auto id = c.submit();
  REQUIRE(c.sent.size() == 1);
  c.beat("pi-1", "a", 2, {}, 0);  // it has not seen the message yet: the task may still arrive
  CHECK(c.sent.size() == 1);
  c.beat("pi-1", "a", 2, {}, 1);
  REQUIRE(c.sent.size() == 2);
  CHECK(c.sent[1].tasks[0].id == id);
  CHECK(c.sent[1].tasks[0].attempt == 1);
  CHECK(c.sent[1].n == 2);
}

TEST_CASE("a lost message that no later one followed is sent again after two beats") {
  Conversation c;
  c.join("pi-1", "a");
  c.submit();
  c.pass(21s);
  c.beat("pi-1", "a", 1, {}, 0);
  CHECK(c.sent.size() == 2);
}

TEST_CASE("after a loss of the broker no task is placed on an agent before it has come back") {
  Conversation c;
  c.join("pi-1", "a");
  c.receive(BrokerDown{});
  const auto id = c.submit();
  c.receive(BrokerUp{});
  c.place();
  CHECK(c.task(id).state == TaskState::queued);
  c.beat("pi-1", "a", 1, {});
  CHECK(c.holder(id) == "pi-1");
}

TEST_CASE("a task whose message was on its way when the broker failed is sent again at the agent's next beat") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.receive(BrokerDown{});
  c.receive(BrokerUp{});
  c.beat("pi-1", "a", 1, {}, 0);
  REQUIRE(c.sent.size() == 2);
  CHECK(c.sent[1].tasks[0].id == id);
  CHECK(c.sent[1].tasks[0].attempt == 1);
}

TEST_CASE("an agent that comes back from a short loss without its task gets it again and keeps it") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.receive(AgentStatusSeen{agent("pi-1"), lost("a")});
  c.pass(1s);
  c.beat("pi-1", "a", 1, {}, 0);
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::online, session("a")}});
  CHECK(c.sent.size() == 2);
  c.pass(5s);
  CHECK(c.holder(id) == "pi-1");
  CHECK(c.task(id).attempts.size() == 1);
}

TEST_CASE("an agent that was restarted has lost what it held") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.beat("pi-1", "a", 0, {c.holding(id)});
  c.join("pi-1", "b");
  CHECK(c.task(id).attempts[0].state == AttemptState::lost);
  CHECK(c.task(id).attempts.back().n == 2);
}

TEST_CASE("an agent that comes back keeps its task unless the successor has been reported running") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.beat("pi-1", "a", 0, {c.holding(id)});
  c.receive(AgentStatusSeen{agent("pi-1"), lost("a")});
  SECTION("no other agent has it") {
    c.pass(3s);
    CHECK(c.task(id).state == TaskState::queued);
    c.beat("pi-1", "a", 0, {c.holding(id)});
    CHECK(c.task(id).state == TaskState::running);
    CHECK(c.holder(id) == "pi-1");
  }
  SECTION("it was assigned to another agent, and has not begun there") {
    c.join("pi-2", "b");
    c.pass(3s);
    CHECK(c.holder(id) == "pi-2");
    c.beat("pi-1", "a", 0, {c.holding(id)});
    CHECK(c.holder(id) == "pi-1");
    REQUIRE_FALSE(c.cancels.empty());
    CHECK(c.cancels.back().agent == agent("pi-2"));
  }
  SECTION("its successor runs") {
    c.join("pi-2", "b");
    c.pass(3s);
    c.beat("pi-2", "b", 0, {c.holding(id, HeldPhase::running, 2)});
    c.beat("pi-1", "a", 0, {c.holding(id)});
    CHECK(c.holder(id) == "pi-2");
    CHECK(c.cancels.back().agent == agent("pi-1"));
    c.result("pi-1", id);  // but a success of any attempt ends it
    CHECK(c.task(id).state == TaskState::succeeded);
    CHECK(c.cancels.back().agent == agent("pi-2"));
  }
}

TEST_CASE("an attempt that its agent was told to stop is not taken back, because it may end at any moment") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.beat("pi-1", "a", 0, {c.holding(id)});
  c.receive(AgentStatusSeen{agent("pi-1"), lost("a")});
  c.join("pi-2", "b");
  c.pass(3s);
  c.beat("pi-2", "b", 0, {c.holding(id, HeldPhase::running, 2)});
  c.beat("pi-1", "a", 0, {c.holding(id)});
  REQUIRE(c.cancels.back().agent == agent("pi-1"));
  c.receive(AgentStatusSeen{agent("pi-2"), lost("b")});
  c.pass(30s);
  c.beat("pi-1", "a", 0, {c.holding(id)});
  CHECK(c.task(id).attempts.at(0).state == AttemptState::lost);
}

TEST_CASE("an agent that lists another one's attempt does not keep that one from getting it back") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.beat("pi-1", "a", 0, {c.holding(id)});
  c.join("liar", "z");
  c.beat("liar", "z", 0, {c.holding(id)});
  c.receive(AgentStatusSeen{agent("pi-1"), lost("a")});
  c.beat("liar", "z", 0, {c.holding(id)});
  c.beat("pi-1", "a", 0, {c.holding(id)});
  CHECK(c.task(id).state == TaskState::running);
  CHECK(c.holder(id) == "pi-1");
}

TEST_CASE("a task that is listed past its timeout and two beats has timed out") {
  Conversation c;
  c.join("pi-1", "a");
  TaskSpec spec;
  spec.capability = capability("work");
  spec.timeout = 5s;
  spec.max_attempts = 1;
  const auto id = c.submit(spec);
  c.beat("pi-1", "a", 0, {c.holding(id)});
  c.pass(24s);
  c.beat("pi-1", "a", 0, {c.holding(id)});
  CHECK(c.task(id).state == TaskState::running);
  c.pass(2s);
  c.beat("pi-1", "a", 0, {c.holding(id)});
  CHECK(c.task(id).state == TaskState::failed);
  CHECK(c.task(id).error->code == "timed_out");
  CHECK_FALSE(c.cancels.empty());
}

TEST_CASE("the timeout of a task that a hot agent slows is extended, up to a bound") {
  Conversation c;
  c.join("pi-1", "a");
  TaskSpec spec;
  spec.capability = capability("work");
  spec.timeout = 60s;
  spec.max_attempts = 1;
  const auto id = c.submit(std::move(spec));
  const auto slowed_to_a_tenth = [&](Duration time) {
    auto held = c.holding(id);
    held.extended = time * 9 / 10;
    c.beat("pi-1", "a", 0, {held});
  };
  Duration ran{0};
  for (; ran <= 60s + 20s + 4 * 60s; ran += 10s) {
    slowed_to_a_tenth(ran);
    INFO(to_ms(ran));
    REQUIRE(c.state.tasks.count(id) == 1);
    CHECK(c.task(id).state == TaskState::running);
    c.pass(10s);
  }
  slowed_to_a_tenth(ran);
  CHECK(c.task(id).error->code == "timed_out");
}

TEST_CASE("a drained agent gets no tasks until it is resumed, also after its restart") {
  Conversation c;
  c.join("pi-1", "a");
  c.receive(DrainAgent{4, agent("pi-1"), true});
  CHECK(c.find<SaveAgent>() != nullptr);
  CHECK(c.find<SendDrain>() != nullptr);
  const auto id = c.submit();
  c.join("pi-1", "b");
  CHECK(c.task(id).state == TaskState::queued);
  c.receive(DrainAgent{5, agent("pi-1"), false});
  c.place();
  CHECK(c.holder(id) == "pi-1");
}

TEST_CASE("after a restart of the coordinator an assigned task stays with its agent") {
  Conversation before;
  before.join("pi-1", "a");
  const auto id = before.submit();
  const TaskRecord kept = before.kept(id);

  Conversation after;
  after.now.wall.unix_ms += 1000;
  recover(after.state, {kept}, after.now);
  after.receive(BrokerUp{});
  CHECK(after.task(id).state == TaskState::assigned);
  SECTION("the agent lists it") {
    after.receive(AgentInfoSeen{agent("pi-1"), after.info("a", 1)});
    after.beat("pi-1", "a", 0, {after.holding(id)});
    after.receive(AgentStatusSeen{agent("pi-1"), {AgentState::online, session("a")}});
    CHECK(after.task(id).state == TaskState::running);
    const auto other = after.submit();
    CHECK(after.task(other).state == TaskState::queued);  // its slot counts
    after.result("pi-1", id);
    CHECK(after.task(id).state == TaskState::succeeded);
    CHECK(after.holder(other) == "pi-1");
  }
  SECTION("the agent never received it") {
    after.join("pi-1", "a");
    REQUIRE(after.sent.size() == 1);
    CHECK(after.sent[0].tasks[0].attempt == 1);
  }
  SECTION("the agent never comes back") {
    after.join("pi-2", "b");
    after.pass(31s);
    after.beat("pi-2", "b", 1, {});
    after.pass(3s);
    CHECK(after.holder(id) == "pi-2");
  }
}

TEST_CASE("a coordinator stops when it sees a live newer one, and raises its epoch above a retained or reported one") {
  Conversation c;
  SECTION("live") {
    c.receive(CoordinatorSeen{true, Reign{8, session("other")}, true});
    CHECK(c.find<StopProgram>() != nullptr);
  }
  SECTION("retained by the broker") {
    c.receive(CoordinatorSeen{true, Reign{12, session("other")}, false});
    CHECK(c.find<StopProgram>() == nullptr);
    CHECK(c.state.reign.epoch == 13);
    CHECK(c.find<SaveReign>() != nullptr);
    CHECK(c.find<AnnounceReign>() != nullptr);
  }
  SECTION("reported by an agent") {
    c.join("pi-1", "a");
    auto beat = c.heartbeat("a", 1, {}, 0);
    beat.coordinator = Reign{20, session("other")};
    c.receive(HeartbeatSeen{agent("pi-1"), beat});
    CHECK(c.state.reign.epoch == 21);
  }
  SECTION("an older one receives our reign, so that it stops") {
    c.receive(CoordinatorSeen{true, Reign{3, session("other")}, true});
    CHECK(c.find<AnnounceReign>() != nullptr);
    CHECK(c.state.reign.epoch == 7);
  }
}

TEST_CASE("an agent that claims ever higher epochs does not make all agents present themselves each time") {
  Conversation c;
  c.join("pi-1", "a");
  const auto claim = [&](std::uint64_t epoch) {
    auto beat = c.heartbeat("a", 1, {}, 0);
    beat.coordinator = Reign{epoch, session("other")};
    c.receive(HeartbeatSeen{agent("pi-1"), beat});
  };
  claim(20);
  CHECK(c.state.reign.epoch == 21);
  for (std::uint64_t epoch = 30; epoch < 50; ++epoch) claim(epoch);
  CHECK(c.state.reign.epoch == 21);
  c.pass(61s);
  claim(60);  // this one may be true
  CHECK(c.state.reign.epoch == 61);
  c.pass(61s);
  claim(61'000'000);
  CHECK(c.state.reign.epoch == 61);
  CHECK(std::any_of(c.effects.begin(), c.effects.end(), [](const Effect& effect) {
    const auto* note = std::get_if<Note>(&effect);
    return note != nullptr && note->text.find("no coordinator can have reached") != std::string::npos;
  }));
}

TEST_CASE("an agent that does not follow us, or whose info is missing, is asked to introduce itself") {
  Conversation c;
  Heartbeat beat;
  SECTION("it follows an earlier coordinator") {
    c.join("pi-1", "a");
    beat = c.heartbeat("a", 1, {}, 0);
    beat.coordinator = Reign{3, session("earlier")};
  }
  SECTION("its info was lost") { beat = c.heartbeat("a", 1, {}, 0); }
  SECTION("it follows an epoch that no coordinator can have reached") {
    c.join("pi-1", "a");
    beat = c.heartbeat("a", 1, {}, 0);
    beat.coordinator = Reign{std::uint64_t{1} << 53U, session("forged")};
  }
  c.receive(HeartbeatSeen{agent("pi-1"), beat});
  CHECK(c.find<SendIntroduce>() == nullptr);  // both may be on their way
  c.pass(10s);
  ++beat.sequence;
  c.receive(HeartbeatSeen{agent("pi-1"), beat});
  REQUIRE(c.find<SendIntroduce>() != nullptr);
  CHECK(c.find<SendIntroduce>()->agent == agent("pi-1"));
  c.receive(HeartbeatSeen{agent("pi-1"), beat});
  CHECK(c.find<SendIntroduce>() == nullptr);  // not at each beat
  CHECK(c.state.reign.epoch == 7);
}

TEST_CASE("a coordinator does not stop for an epoch that no coordinator can have reached") {
  Conversation c;
  c.receive(CoordinatorSeen{true, Reign{std::uint64_t{1} << 53U, session("forged")}, true});
  CHECK(c.find<StopProgram>() == nullptr);
  CHECK(c.state.reign.epoch == 7);
  CHECK_FALSE(c.state.over);
}

TEST_CASE("an agent that lists the lost attempt of another agent does not get it") {
  Conversation c;
  c.join("pi-1", "a");
  const auto id = c.submit();
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::lost, session("a")}});
  c.pass(10s);
  c.join("pi-2", "b", 1, "other");
  c.beat("pi-2", "b", 0, {Conversation::holding(id)});
  CHECK(c.task(id).state == TaskState::queued);
  REQUIRE_FALSE(c.cancels.empty());
  CHECK(c.cancels.back().agent == agent("pi-2"));
}

TEST_CASE("a sequence number that is too high silences its agent for two heartbeats at most") {
  Conversation c;
  c.join("pi-1", "a");
  auto forged = c.heartbeat("a", 1, {}, 0);
  const auto before = forged.sequence;
  forged.sequence = std::numeric_limits<std::uint64_t>::max();
  c.receive(HeartbeatSeen{agent("pi-1"), forged});
  auto beat = c.heartbeat("a", 0, {}, 0);
  CHECK(beat.sequence == before + 1);
  c.receive(HeartbeatSeen{agent("pi-1"), beat});
  CHECK(c.state.agents[0].beat->sequence == forged.sequence);  // it seems to be overtaken
  c.pass(2 * heartbeat_interval);
  c.receive(HeartbeatSeen{agent("pi-1"), beat});
  CHECK(c.state.agents[0].beat->sequence == beat.sequence);
  CHECK(c.state.agents[0].status.state == AgentState::online);
}

TEST_CASE("where the table of agents is full, the one that was away for longest gives its place") {
  Conversation c;
  c.state.policy.most_agents = 3;
  c.join("pi-1", "a");
  c.join("pi-2", "b");
  const auto held = c.submit();
  c.join("pi-3", "c");
  const auto keeper = c.holder(held);
  c.receive(AgentStatusSeen{agent(keeper), {AgentState::lost, session(keeper == "pi-1" ? "a" : "b")}});
  c.join("pi-4", "d");
  CHECK(c.state.agent_index.count(agent("pi-4")) == 0);  // one holds a task, two are there
  const std::string other = keeper == "pi-1" ? "pi-2" : "pi-1";
  c.receive(AgentStatusSeen{agent(other), {AgentState::offline, session(keeper == "pi-1" ? "b" : "a")}});
  c.now.mono += c.state.policy.look_again_after;
  c.receive(AgentInfoSeen{agent("pi-4"), c.info("d", 1)});
  REQUIRE(c.find<ForgetAgent>() != nullptr);
  CHECK(c.find<ForgetAgent>()->agent == agent(other));
  CHECK(c.state.agent_index.count(agent(other)) == 0);
  CHECK(c.state.agents.size() == 3);
  c.join("pi-4", "d");
  c.pass(5s);  // the grace of the lost one ends, and its task is placed anew
  CHECK((c.holder(held) == "pi-3" || c.holder(held) == "pi-4"));
}

TEST_CASE("invented names do not displace agents that are needed, and each of them is forgotten again") {
  Conversation c;
  c.state.policy.most_agents = 50;
  c.join("pi-1", "a", 4);
  const auto id = c.submit();
  for (int n = 0; n < 1000; ++n) {
    c.receive(AgentStatusSeen{agent("ghost-" + std::to_string(n)), {AgentState::lost, session("x")}});
  }
  CHECK(c.state.agents.size() == 50);
  CHECK(c.state.agent_index.size() == 50);
  CHECK(c.holder(id) == "pi-1");
  c.join("pi-2", "b");
  CHECK(c.state.agent_index.count(agent("pi-2")) == 1);
}

TEST_CASE("infos are bounded in rate and in memory") {
  Conversation c;
  c.join("pi-1", "a");
  const auto changed = [&](std::size_t bytes) {
    AgentInfo info = c.info("a", 1);
    info.executors[0].notice = std::string(bytes, 'x');
    c.receive(AgentInfoSeen{agent("pi-1"), info});
    return c.state.agents[0].info->executors[0].notice.size() == bytes;
  };
  SECTION("rate") {
    int taken = 0;
    for (std::size_t n = 1; n <= 100; ++n) taken += changed(n) ? 1 : 0;
    CHECK(taken == 19);  // the first one was another
    c.pass(c.state.policy.info_spacing);
    CHECK(changed(200));
    CHECK_FALSE(changed(201));
  }
  SECTION("memory") {
    c.state.policy.most_info_bytes = 10'000;
    CHECK(changed(5'000));
    CHECK(c.state.info_bytes > 5'000);
    CHECK_FALSE(changed(20'000));
    CHECK(changed(6'000));
    CHECK(c.state.info_bytes < 10'000);
  }
}

TEST_CASE("different conditions are bounded, for all clients and for one") {
  Conversation c;
  c.state.policy.most_conditions = 3;
  c.state.policy.most_conditions_of_one = 2;
  RequestId request = 100;
  const auto submit = [&](const std::string& submitter, const std::string& room) {
    TaskSpec spec;
    spec.capability = capability("work");
    if (!room.empty()) spec.where = {{"room", room}};
    c.receive(SubmitTasks{++request, submitter, {}, {{std::move(spec), {}}}});
    return c.find<Accepted>() != nullptr;
  };
  CHECK(submit("one", "a"));
  CHECK(submit("one", "b"));
  CHECK_FALSE(submit("one", "c"));
  CHECK(c.find<Rejected>()->error.message.find("`where`") != std::string::npos);
  CHECK(submit("one", "a"));
  CHECK(submit("one", ""));
  CHECK(submit("two", "a"));
  CHECK_FALSE(submit("two", "b"));
  std::vector<TaskId> first;
  for (const auto& [id, task] : c.state.tasks) {
    if (task.record.submitter == "one" && !task.record.spec.where.empty()) first.push_back(id);
  }
  for (const auto& id : first) c.receive(CancelTask{1, id});
  CHECK(c.state.conditions.count() == 1);
  CHECK(submit("two", "b"));
}

TEST_CASE("a replaced coordinator announces nothing and assigns no tasks") {
  Conversation c;
  c.join("pi-1", "a");
  const Reign other{c.state.reign.epoch + 1, session("other")};
  c.receive(CoordinatorSeen{true, other, true});
  REQUIRE(c.find<StopProgram>() != nullptr);
  auto beat = c.heartbeat("a", 1, {}, 0);
  beat.coordinator = other;  // in the same drain: the agent follows it already
  c.receive(HeartbeatSeen{agent("pi-1"), beat});
  CHECK(c.find<AnnounceReign>() == nullptr);
  CHECK(c.state.reign.epoch < other.epoch);
  c.submit();
  CHECK(c.sent.empty());
}

TEST_CASE("an executor that reports it is out of service gets no tasks, even before the next beat") {
  Conversation c;
  c.join("pi-1", "a", 2);
  AgentInfo birth = c.info("a", 2);
  birth.executors[0].problem = "the key is refused";
  c.receive(AgentInfoSeen{agent("pi-1"), birth});
  const auto id = c.submit();
  CHECK(c.holder(id).empty());
  c.receive(AgentInfoSeen{agent("pi-1"), c.info("a", 2)});
  c.beat("pi-1", "a", 2, {});
  CHECK(c.holder(id) == "pi-1");
}

TEST_CASE("after a restart of the coordinator the age of an agent's state is the agent's own") {
  Conversation c;
  const auto state_of = [&] { return c.state.agents.at(c.state.agent_index.at(agent("pi-1"))); };
  c.receive(AgentInfoSeen{agent("pi-1"), c.info("a", 1)});
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::online, session("a")}, false});
  CHECK_FALSE(state_of().since);  // not the time of the restart
  SECTION("the agent tells it") {
    auto beat = c.heartbeat("a", 1, {}, 0);
    beat.status_for = 2h;
    c.receive(HeartbeatSeen{agent("pi-1"), beat});
    REQUIRE(state_of().since);
    CHECK(c.now.wall.unix_ms - state_of().since->unix_ms == to_ms(2h));
    c.pass(5s);
    c.receive(AgentStatusSeen{agent("pi-1"), lost("a")});
    CHECK(*state_of().since == c.now.wall);
  }
  SECTION("an agent that does not tell it leaves it unknown") {
    c.beat("pi-1", "a", 1, {});
    CHECK_FALSE(state_of().since);
  }
  SECTION("an agent that was lost before the restart tells nothing") {
    c.receive(AgentStatusSeen{agent("pi-1"), lost("a"), false});
    CHECK_FALSE(state_of().since);
  }
  SECTION("a change that is seen happens now") {
    c.pass(5s);
    c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::draining, session("a")}});
    CHECK(*state_of().since == c.now.wall);
  }
}

TEST_CASE("a new run of an agent that was online is online since its own start") {
  Conversation c;
  c.join("pi-1", "a");
  const auto& one = c.state.agents.front();
  CHECK(*one.since == c.now.wall);
  c.pass(5s);
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::online, session("b")}});
  CHECK(*one.since == c.now.wall);
}
