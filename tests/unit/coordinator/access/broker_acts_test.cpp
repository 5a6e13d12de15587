// What is tried against a broker follows from its access lists.
#include "coordinator/access/broker_acts.hpp"

#include <algorithm>
#include <set>

#include "coordinator/access/broker_files.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

const FleetName home = *FleetName::parse("home");
const std::string root = "edgefleet/v1/home/";

std::set<std::string> forbidden(const Actor& actor, const std::string& other) {
  const auto all = forbidden_topics(home, actor, other);
  return {all.begin(), all.end()};
}

}  // namespace

TEST_CASE("an agent must not write what is another's, the coordinator's, or its own to read") {
  const auto topics = forbidden({"pi-1", {}}, "pi-2");
  for (const char* topic :
       {"agents/pi-2/status", "agents/pi-2/heartbeat", "results/pi-2", "streams/pi-2", "tasks/none/pi-1",
        "tasks/none/pi-2", "control/pi-1", "control/pi-2", "coordinator/status", "coordinator/beat", "coordinator/crl",
        "coordinator/summary", "submit/pi-1", "replies/pi-1/none", "operate/pi-1", "agents/none/canary",
        "coordinator/canary", "agents/pi-1/none", "events/none"}) {
    INFO(topic);
    CHECK(topics.contains(root + topic));
  }
  for (const auto& own : own_topics(home, {"pi-1", {}})) {
    INFO(own);
    CHECK_FALSE(topics.contains(own));
  }
  CHECK(own_topics(home, {"pi-1", {}}).size() == 7);
}

TEST_CASE("a person must not write what only another role may") {
  CHECK_FALSE(forbidden({"a", Role::chat}, "b").contains(root + "submit/a"));
  CHECK(forbidden({"a", Role::chat}, "b").contains(root + "submit/b"));
  CHECK(forbidden({"a", Role::observe}, "b").contains(root + "submit/a"));
  CHECK(forbidden({"a", Role::submit}, "b").contains(root + "operate/a"));
  CHECK_FALSE(forbidden({"a", Role::operate}, "b").contains(root + "operate/a"));
  for (const Role role : {Role::observe, Role::chat, Role::submit, Role::operate, Role::admin}) {
    for (const char* topic : {"coordinator/status", "agents/a/status", "tasks/none/b", "results/b", "replies/b/none"}) {
      INFO(topic);
      CHECK(forbidden({"a", role}, "b").contains(root + topic));
    }
  }
}

TEST_CASE("no topic of a trial is a filter, and each is tried once") {
  for (const Actor& actor : {Actor{"pi-1", {}}, Actor{"a", Role::admin}}) {
    const auto all = forbidden_topics(home, actor, "other");
    CHECK(std::set<std::string>(all.begin(), all.end()).size() == all.size());
    CHECK(std::ranges::none_of(
        all, [](const std::string& topic) { return topic.find_first_of("+#") != std::string::npos; }));
  }
}

TEST_CASE("who may read a topic is what the access lists say") {
  const Actor agent{"pi-1", {}};
  CHECK(may_read(home, agent, root + "tasks/echo/pi-1"));
  CHECK_FALSE(may_read(home, agent, root + "tasks/echo/pi-2"));
  CHECK_FALSE(may_read(home, agent, root + "tasks/echo/pi-1/more"));
  CHECK_FALSE(may_read(home, agent, root + "results/pi-1"));
  CHECK(may_read(home, agent, root + "coordinator/crl"));
  CHECK(may_read(home, {"tv", Role::observe}, root + "agents/pi-1/heartbeat"));
  CHECK_FALSE(may_read(home, {"tv", Role::observe}, root + "results/pi-1"));
  CHECK(may_read(home, {"a", Role::submit}, root + "replies/a/1"));
  CHECK_FALSE(may_read(home, {"a", Role::submit}, root + "replies/b/1"));
  CHECK(may_read(home, {"a", Role::admin}, root + "replies/b/1"));
  CHECK_FALSE(may_read(home, {"a", Role::admin}, "edgefleet/v1/other/replies/b/1"));
}

TEST_CASE("the names of a trial's agents are nobody else's") {
  for (const auto name : trial_agents) CHECK(reserved_name(name));
}
