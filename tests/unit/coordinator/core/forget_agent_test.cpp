#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

TEST_CASE("an agent that is gone can be forgotten, and its place is used again") {
  Conversation c;
  c.join("pi-1", "a");
  c.join("pi-2", "b");
  c.receive(DrainAgent{1, agent("pi-1"), true});
  c.receive(RemoveAgent{2, agent("pi-1")});
  REQUIRE(c.find<Rejected>() != nullptr);
  CHECK(c.find<Rejected>()->error.kind == ErrorKind::conflict);
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::offline, session("a")}});
  c.receive(RemoveAgent{3, agent("pi-1")});
  REQUIRE(c.find<Done>() != nullptr);
  REQUIRE(c.find<ForgetAgent>() != nullptr);
  CHECK(c.find<ForgetAgent>()->agent == agent("pi-1"));
  REQUIRE(c.find<SaveAgent>() != nullptr);
  CHECK_FALSE(c.find<SaveAgent>()->drained);
  CHECK(c.state.agent_index.count(agent("pi-1")) == 0);
  c.receive(RemoveAgent{4, agent("pi-1")});
  CHECK(c.find<Rejected>()->error.kind == ErrorKind::not_found);

  // The vacant place takes part in nothing, and is the first to be used.
  c.receive(BrokerDown{});
  c.receive(BrokerUp{});
  for (int i = 0; i < 10; ++i) {
    c.pass(30s);
    const auto* changed = c.find<AgentChanged>();
    CHECK((changed == nullptr || changed->agent == agent("pi-2")));
  }
  c.join("pi-3", "c");
  CHECK(c.state.agents.size() == 2);
  CHECK(c.state.vacant.empty());
  c.join("pi-2", "b2");
  const auto id = c.submit();
  CHECK_FALSE(c.holder(id).empty());
}

TEST_CASE("an agent whose tasks still wait for it is not forgotten") {
  Conversation c;
  c.join("pi-1", "a");
  c.submit();
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::lost, session("a")}});
  c.receive(RemoveAgent{1, agent("pi-1")});
  REQUIRE(c.find<Rejected>() != nullptr);
  CHECK(c.find<Rejected>()->error.kind == ErrorKind::conflict);
}

TEST_CASE("a full table of agents has room for another one after one was forgotten") {
  Conversation c;
  c.state.policy.most_agents = 1;
  c.join("pi-1", "a");
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::offline, session("a")}});
  c.receive(RemoveAgent{1, agent("pi-1")});
  c.join("pi-2", "b");
  CHECK(c.state.agent_index.count(agent("pi-2")) == 1);
  CHECK(c.state.agents.size() == 1);
}

TEST_CASE("an agent that is back is not forgotten, although it was away when others needed places") {
  Conversation c;
  c.state.policy.most_agents = 3;
  for (const char* name : {"a", "b", "c"}) {
    c.pass(1s);
    c.receive(AgentStatusSeen{agent(name), {AgentState::offline, session("x")}});
  }
  c.join("d", "1");
  CHECK(c.state.agent_index.count(agent("a")) == 0);  // away for longest
  c.join("b", "2");
  c.join("e", "3");
  CHECK(c.state.agent_index.count(agent("b")) == 1);
  CHECK(c.state.agent_index.count(agent("c")) == 0);
  c.receive(AgentStatusSeen{agent("f"), {AgentState::offline, session("x")}});
  CHECK(c.state.agent_index.count(agent("f")) == 0);  // all are needed
  c.receive(AgentStatusSeen{agent("d"), {AgentState::offline, session("1")}});
  c.now.mono += c.state.policy.look_again_after;
  c.receive(AgentStatusSeen{agent("f"), {AgentState::offline, session("x")}});
  CHECK(c.state.agent_index.count(agent("f")) == 1);
}

TEST_CASE("the state that an order leads to is known before the agent reports it") {
  Conversation c;
  c.join("pi-1", "a");
  Agent& pi = c.state.agents[0];
  CHECK(ordered_state(pi) == AgentState::online);
  c.receive(DrainAgent{1, agent("pi-1"), true});
  CHECK(ordered_state(pi) == AgentState::draining);
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::draining, session("a")}});
  c.receive(DrainAgent{2, agent("pi-1"), false});
  CHECK(ordered_state(pi) == AgentState::online);
  c.receive(AgentStatusSeen{agent("pi-1"), {AgentState::lost, session("a")}});
  CHECK(ordered_state(pi) == AgentState::lost);
}
