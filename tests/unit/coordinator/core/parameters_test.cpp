#include "coordinator/core/parameters.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

const std::string blur(32, 'b');
const std::string resize(32, 'c');

void join(Conversation& c, const std::string& name, const std::vector<std::string>& digests) {
  AgentInfo info = c.info(name, 1);
  for (std::size_t i = 0; i < digests.size(); ++i) {
    info.executors.front().parameters[capability("work-" + std::to_string(i))] = digests[i];
  }
  c.receive(AgentInfoSeen{agent(name), info});
  c.receive(AgentStatusSeen{agent(name), {AgentState::online, session(name)}});
  c.receive(HeartbeatSeen{agent(name), c.heartbeat(name, 1, {}, 0)});
}

std::vector<std::string> asked(const Conversation& c) {
  const auto* ask = c.find<SendDescribe>();
  return ask == nullptr ? std::vector<std::string>{} : ask->digests;
}

}  // namespace

TEST_CASE("a description is asked for once, of one agent, when it follows us") {
  Conversation c;
  AgentInfo info = c.info("pi-1", 1);
  info.executors.front().parameters[capability("work")] = blur;
  c.receive(AgentInfoSeen{agent("pi-1"), info});
  CHECK(asked(c).empty());  // it may obey another coordinator
  CHECK(c.find<OffersChanged>() != nullptr);
  c.receive(HeartbeatSeen{agent("pi-1"), c.heartbeat("pi-1", 1, {}, 0)});
  CHECK(asked(c) == std::vector<std::string>{blur});
  join(c, "pi-2", {blur, resize});
  CHECK(asked(c) == std::vector<std::string>{resize});
  c.receive(ParametersSeen{agent("pi-2"), {{resize, "{}"}, {blur, "[1]"}}});
  REQUIRE(c.find<ParametersLearned>() != nullptr);
  CHECK(c.state.parameters.known.at(blur) == "[1]");
  CHECK(c.state.parameters.asked.empty());
  CHECK(c.state.parameters.bytes == 5);
  join(c, "pi-3", {blur, resize});
  CHECK(asked(c).empty());
}

TEST_CASE("a description that does not come is asked for again") {
  Conversation c;
  join(c, "pi-1", {blur});
  c.pass(10s);
  c.receive(HeartbeatSeen{agent("pi-1"), c.heartbeat("pi-1", 1, {}, 0)});
  CHECK(asked(c).empty());
  c.pass(20s);
  c.receive(HeartbeatSeen{agent("pi-1"), c.heartbeat("pi-1", 1, {}, 0)});
  CHECK(asked(c) == std::vector<std::string>{blur});
}

TEST_CASE("a description that nobody asked for is ignored") {
  Conversation c;
  join(c, "pi-1", {blur});
  c.receive(ParametersSeen{agent("pi-1"), {{resize, "{}"}}});
  CHECK(c.state.parameters.known.empty());
  c.receive(ParametersSeen{agent("pi-1"), {{blur, "{}"}}});
  c.receive(ParametersSeen{agent("pi-1"), {{blur, "[]"}}});
  CHECK(c.state.parameters.known.at(blur) == "{}");
}

TEST_CASE("descriptions are bounded in bytes and in number; unused ones give their place") {
  Conversation c;
  c.state.policy.most_parameter_bytes = 10;
  c.state.policy.most_parameters_asked = 2;
  join(c, "pi-1", {blur});
  c.receive(ParametersSeen{agent("pi-1"), {{blur, "12345678"}}});
  join(c, "pi-2", {resize, std::string(32, 'd'), std::string(32, 'e')});
  CHECK(asked(c).size() == 2);
  c.receive(ParametersSeen{agent("pi-2"), {{resize, "12345678"}}});
  CHECK(c.state.parameters.known.count(resize) == 0);
  CHECK(c.state.parameters.bytes == 8);
  join(c, "pi-1", {});  // offers it no longer
  c.pass(31s);
  c.receive(HeartbeatSeen{agent("pi-2"), c.heartbeat("pi-2", 1, {}, 0)});
  c.receive(ParametersSeen{agent("pi-2"), {{resize, "12345678"}}});
  CHECK(c.state.parameters.known.count(resize) == 1);
  CHECK(c.state.parameters.known.count(blur) == 0);
  CHECK(c.state.parameters.bytes == 8);
}
