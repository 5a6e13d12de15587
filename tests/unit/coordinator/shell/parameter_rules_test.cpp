#include "coordinator/shell/parameter_rules.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;

namespace {

const std::string strict(32, 'a');
const std::string loose(32, 'b');

// The changes of each event are told to the rules at once.
struct Fleet : Conversation {
  ParameterRules rules;

  void tell(const Event& event) {
    receive(event);
    Changes changes;
    for (const auto& effect : effects) {
      if (const auto* offers = std::get_if<OffersChanged>(&effect)) changes.emplace_back(*offers);
      if (const auto* learned = std::get_if<ParametersLearned>(&effect)) changes.emplace_back(*learned);
      if (const auto* change = std::get_if<AgentChanged>(&effect)) changes.emplace_back(*change);
    }
    rules.committed(changes, state);
  }
  void offers(const std::string& name, const std::string& digest) {
    AgentInfo info = this->info(name, 1);
    if (!digest.empty()) info.executors.front().parameters[capability("work")] = digest;
    tell(AgentInfoSeen{agent(name), info});
    tell(HeartbeatSeen{agent(name), heartbeat(name, 1, {}, 0)});
  }
  void learn(const std::string& digest, const std::string& schema) {
    tell(ParametersSeen{agent("pi-1"), {{digest, schema}}});
  }
  bool accepts(const std::string& input) const { return rules.check(capability("work"), input).ok(); }
};

}  // namespace

TEST_CASE("an input is checked as soon as the description of its capability is known") {
  Fleet fleet;
  CHECK(fleet.accepts("7"));
  fleet.offers("pi-1", strict);
  CHECK(fleet.accepts("7"));
  fleet.learn(strict, R"({"type":"string"})");
  CHECK(fleet.accepts(R"("x")"));
  const auto refused = fleet.rules.check(capability("work"), "7");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::invalid);
  CHECK(refused.error().message == "work: `input` is 7; it must be of type string");
  CHECK(fleet.rules.check(capability("other"), "7"));
  fleet.offers("pi-2", strict);  // known already
  CHECK_FALSE(fleet.accepts("7"));
}

TEST_CASE("an input that one of the descriptions accepts is accepted, also if an executor has none") {
  Fleet fleet;
  fleet.offers("pi-1", strict);
  fleet.learn(strict, R"({"type":"string"})");
  fleet.offers("pi-2", loose);
  CHECK(fleet.accepts("7"));  // not known yet
  fleet.learn(loose, R"({"type":"integer"})");
  CHECK(fleet.accepts("7"));
  CHECK(fleet.accepts(R"("x")"));
  CHECK_FALSE(fleet.accepts("true"));
  fleet.offers("pi-3", "");
  CHECK(fleet.accepts("true"));
}

TEST_CASE("with more descriptions of a capability than are worth a check, none is checked") {
  Fleet fleet;
  for (std::size_t i = 0; i < ParameterRules::most_checked; ++i) {
    const std::string digest(32, static_cast<char>('a' + i));
    fleet.offers("pi-" + std::to_string(i + 1), digest);
    fleet.learn(digest, R"({"type":"string"})");
  }
  CHECK_FALSE(fleet.accepts("7"));
  fleet.offers("pi-9", std::string(32, '9'));
  fleet.learn(std::string(32, '9'), R"({"type":"string"})");
  CHECK(fleet.accepts("7"));
}

TEST_CASE("what an agent no longer offers is not checked") {
  Fleet fleet;
  fleet.offers("pi-1", strict);
  fleet.learn(strict, R"({"type":"string"})");
  CHECK_FALSE(fleet.accepts("7"));
  SECTION("it offers another version") {
    fleet.offers("pi-1", loose);
    CHECK(fleet.accepts("7"));
    fleet.offers("pi-1", strict);  // and the first one again
    CHECK_FALSE(fleet.accepts("7"));
  }
  SECTION("it is forgotten") {
    fleet.rules.committed({AgentChanged{agent("pi-1"), AgentState::lost, std::nullopt}}, fleet.state);
    CHECK(fleet.accepts("7"));
  }
}
