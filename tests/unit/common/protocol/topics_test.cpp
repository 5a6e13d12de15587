#include "common/protocol/topics.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::protocol;

TEST_CASE("every topic that is built is parsed back") {
  const Topics topics(*FleetName::parse("home"));
  for (const auto& rule : topic_rules()) {
    if (rule.kind == TopicKind::reply) continue;  // open-ended: built as a filter only
    Topic topic{rule.kind, {}, {}, {}};
    if (rule.pattern.find("{agent}") != std::string_view::npos) topic.agent = *AgentName::parse("pi-1");
    if (rule.pattern.find("{capability}") != std::string_view::npos)
      topic.capability = *Capability::parse("image.blur");
    if (rule.pattern.find("{client}") != std::string_view::npos) topic.client = *ClientName::parse("phone");
    CHECK(topics.parse(topics.build(topic)) == topic);
  }
}

TEST_CASE("a missing name makes a filter") {
  const Topics topics(*FleetName::parse("home"));
  CHECK(topics.build({TopicKind::heartbeat, {}, {}, {}}) == "edgefleet/v1/home/agents/+/heartbeat");
  CHECK(topics.build({TopicKind::tasks, *AgentName::parse("pi-1"), {}, {}}) == "edgefleet/v1/home/tasks/+/pi-1");
}

TEST_CASE("a topic has no dots below its root: some brokers take them for slashes") {
  const Topics topics(*FleetName::parse("home"));
  const Topic topic{TopicKind::tasks, *AgentName::parse("pi-1"), *Capability::parse("llm.chat.fast"), {}};
  CHECK(topics.build(topic) == "edgefleet/v1/home/tasks/llm_chat_fast/pi-1");
  CHECK(topics.parse("edgefleet/v1/home/tasks/llm_chat_fast/pi-1") == topic);
}

TEST_CASE("other topics are not parsed") {
  const Topics topics(*FleetName::parse("home"));
  for (const char* bad :
       {"", "edgefleet/v1/home", "edgefleet/v1/home/", "edgefleet/v1/garden/agents/a/status",
        "edgefleet/v2/home/agents/a/status", "edgefleet/v1/home/agents/A/status", "edgefleet/v1/home/agents//status",
        "edgefleet/v1/home/agents/a/status/x", "edgefleet/v1/home/agents/a/what", "edgefleet/v1/home/tasks/a__b/pi",
        "edgefleet/v1/home/tasks/image.blur/pi", "edgefleet/v1/home/results/echo/pi", "$SYS/broker"}) {
    INFO(bad);
    CHECK_FALSE(topics.parse(bad));
  }
  CHECK(topics.parse("edgefleet/v1/home/replies/phone/a/b")->client.str() == "phone");
  CHECK_FALSE(topics.parse("edgefleet/v1/home/replies/phone"));
}
