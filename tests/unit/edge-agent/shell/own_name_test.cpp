#include "edge-agent/shell/own_name.hpp"

#include <fstream>
#include <future>

#include "common/protocol/codec.hpp"
#include "tests/support/broker.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;

namespace {

const AgentName pi = *AgentName::parse("raspberrypi");
const AgentName pi_3f2a = *AgentName::parse("raspberrypi-3f2a");
const std::string own = "3f2a000000000000";
const SessionId run = *SessionId::parse("run");

AgentInfo info_of(const std::string& machine, const SessionId& session = run) {
  AgentInfo info;
  info.session = session;
  info.machine = machine;
  return info;
}

}  // namespace

TEST_CASE("a name that nobody has, or that is free again, or that is ours, is taken") {
  NameChoice choice(own, pi, {});
  CHECK_FALSE(choice.choice(false));  // its status may still arrive
  CHECK(choice.choice(true) == pi);
  choice.seen(pi, AgentStatus{AgentState::lost, run});
  CHECK(choice.choice(false) == pi);
  choice.seen(pi, AgentStatus{AgentState::online, run});
  CHECK_FALSE(choice.choice(false));
  choice.seen(pi, info_of(own));
  CHECK(choice.choice(false) == pi);
}

TEST_CASE("a name that another machine has gets a suffix from ours") {
  NameChoice choice(own, pi, {});
  choice.seen(pi, AgentStatus{AgentState::draining, run});
  choice.seen(pi, info_of("ffff000000000000"));
  CHECK_FALSE(choice.choice(false));
  CHECK(choice.choice(true) == pi_3f2a);
  choice.seen(pi_3f2a, AgentStatus{AgentState::online, run});
  choice.seen(pi_3f2a, info_of("3f2a999999999999"));
  CHECK(choice.choice(true)->str() == "raspberrypi-3f2a0000");
}

TEST_CASE("an info of an earlier run of its sender says nothing about the agent that is online") {
  NameChoice choice(own, pi, {});
  choice.seen(pi, AgentStatus{AgentState::online, run});
  choice.seen(pi, info_of("ffff000000000000", *SessionId::parse("earlier")));
  CHECK_FALSE(choice.choice(false));
}

TEST_CASE("the name of earlier runs comes first, and a long name is cut for its suffix") {
  CHECK(NameChoice(own, pi, pi_3f2a).choice(true) == pi_3f2a);
  const auto longest = *AgentName::parse(std::string(63, 'a'));
  const NameChoice cut(own, longest, {});
  for (const auto& name : cut.candidates()) CHECK(name.str().size() <= 63);
}

TEST_CASE("the chosen name is kept for this machine and the present name of the host") {
  const test::TemporaryFolder folder;
  CHECK_FALSE(read_kept_name(folder.path(), pi.str(), own));
  REQUIRE(keep_name(folder.path(), {pi.str(), own, pi_3f2a}));
  CHECK(read_kept_name(folder.path(), pi.str(), own) == pi_3f2a);
  CHECK_FALSE(read_kept_name(folder.path(), "kitchen", own));       // the host has been renamed
  CHECK_FALSE(read_kept_name(folder.path(), pi.str(), "another"));  // the card is in another machine
  std::ofstream(folder.path() + "/name") << "rubbish";
  CHECK_FALSE(read_kept_name(folder.path(), pi.str(), own));
}

TEST_CASE("the identity of a machine is the same each time, and another one for another work folder") {
  const test::TemporaryFolder folder, other;
  CHECK(machine_identity(folder.path()) == machine_identity(folder.path()));
  CHECK(machine_identity(folder.path()) != machine_identity(other.path()));
  CHECK(machine_identity(folder.path()).size() == 16);
}

TEST_CASE("the check asks the broker with another client id, and ends by a stop request") {
  const test::TemporaryFolder folder;
  test::Broker broker;
  NameCheck check({*FleetName::parse("home"), pi, folder.path(), {}, 1h, 1h, broker.maker()});
  auto ended = std::async(std::launch::async, [&] { return check.run(); });
  while (broker.options().client_id.empty()) std::this_thread::yield();
  CHECK(broker.options().client_id.find("agent-raspberrypi") == std::string::npos);
  CHECK_FALSE(broker.options().will);
  check.request_stop();
  const auto stopped = ended.get();
  REQUIRE(stopped);
  CHECK_FALSE(*stopped);
}

TEST_CASE("the check chooses by what the broker has") {
  const test::TemporaryFolder folder;
  test::Broker broker;
  const std::string root = "edgefleet/v1/home/agents/raspberrypi/";
  const auto make = [&](const mqtt::Options& options, mqtt::Client::OnEvent on_event) {
    auto client = broker.maker()(options, std::move(on_event));
    broker.say(mqtt::Received{{root + "status", protocol::encode(AgentStatus{AgentState::online, run})}});
    broker.say(mqtt::Received{{root + "info", protocol::encode(info_of("ffff000000000000"))}});
    return client;
  };
  NameCheck check({*FleetName::parse("home"), pi, folder.path(), {}, 10ms, 1h, make});
  const auto name = check.run();
  REQUIRE(name);
  const std::string suffix = machine_identity(folder.path()).substr(0, 4);
  CHECK((*name)->str() == "raspberrypi-" + suffix);
  CHECK(read_kept_name(folder.path(), pi.str(), machine_identity(folder.path())) == *name);
}
