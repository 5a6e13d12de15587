#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace edgefleet::test;

namespace {

void tell_config(Conversation& c, ConfigReport config) {
  auto info = c.info("a", 1);
  info.config = std::move(config);
  c.receive(AgentInfoSeen{agent("pi-1"), info});
}

ErrorKind refusal(Conversation& c) {
  c.receive(ReloadAgent{5, agent("pi-1")});
  CHECK(c.find<SendReload>() == nullptr);
  REQUIRE(c.find<Rejected>() != nullptr);
  CHECK(c.find<Rejected>()->request == 5);
  return c.find<Rejected>()->error.kind;
}

}  // namespace

TEST_CASE("a connected agent that can read its configuration again is told to") {
  Conversation c;
  c.join("pi-1", "a");
  tell_config(c, {});
  c.receive(ReloadAgent{5, agent("pi-1")});
  REQUIRE(c.find<SendReload>() != nullptr);
  CHECK(c.find<SendReload>()->agent == agent("pi-1"));
  REQUIRE(c.find<Done>() != nullptr);
  CHECK(c.find<Done>()->request == 5);
}

TEST_CASE("an agent that is unknown, away or too old for it is refused at once") {
  Conversation c;
  CHECK(refusal(c) == ErrorKind::not_found);
  c.join("pi-1", "a");
  CHECK(refusal(c) == ErrorKind::conflict);  // its info does not have the field
  tell_config(c, {});
  for (const auto state : {AgentState::lost, AgentState::offline}) {
    c.receive(AgentStatusSeen{agent("pi-1"), {state, session("a")}});
    CHECK(refusal(c) == ErrorKind::conflict);
  }
}
