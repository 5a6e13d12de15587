#include "coordinator/shell/mqtt_link.hpp"

#include <deque>

#include "common/files/text_digest.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/shell.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

const std::string root = "edgefleet/v1/home/";
const std::string reply_topic = root + "replies/app/1";

struct Linked : test::Shell {
  test::Broker broker;
  std::deque<mqtt::ClientEvent> inbox;
  bool inbox_full = false;
  StreamHub hub;
  ParameterRules rules;
  std::unique_ptr<Artifacts> artifacts = *Artifacts::open(folder.path(), {});
  std::shared_ptr<const std::string> list;  // of revoked certificates
  std::vector<std::string> seen_lists;
  MqttLink link{{*FleetName::parse("home"),
                 {},
                 16,
                 4000,
                 {},
                 {},
                 {[this] { return list; }, [this](const std::string& pem) { seen_lists.push_back(pem); }}},
                {engine, requests, store, *artifacts, hub, rules, complaints},
                {[this](mqtt::ClientEvent&& event) { return !inbox_full && (inbox.push_back(std::move(event)), true); },
                 [this](mqtt::ClientEvent&& event) { inbox.push_back(std::move(event)); }}};

  Linked() {
    after_commit.add(rules);
    after_commit.add(link.replies());
    REQUIRE(link.start(broker.maker()));
    turn();
  }
  void turn() {
    while (!inbox.empty()) {
      const auto event = std::move(inbox.front());
      inbox.pop_front();
      link.handle(event);
    }
    commit();
    link.send_replies();
  }
  mqtt::Message submission(const std::string& key = "") const {
    const std::string payload = key.empty() ? R"({"capability":"work","input":1})"
                                            : R"({"capability":"work","input":1,"idempotency_key":")" + key + "\"}";
    return {root + "submit/app", payload, 1, false, reply_topic, "data"};
  }
  mqtt::Message answer() const {
    for (const auto& message : broker.published()) {
      if (message.topic == reply_topic) return message;
    }
    return {};
  }
  // As it is in the inbox.
  mqtt::ClientEvent received(mqtt::Message message) {
    hear(std::move(message));
    auto event = std::move(inbox.back());
    inbox.pop_back();
    return event;
  }
  void hear(mqtt::Message message) { broker.say(mqtt::Received{std::move(message)}); }
};

}  // namespace

TEST_CASE("the link connects under the reign's session and is up once it has subscribed") {
  Linked linked;
  CHECK(linked.link.up());
  CHECK(linked.engine.state().connected);
  CHECK(linked.broker.options().client_id == "edgefleet-home-coordinator-coordinator");
  CHECK(linked.broker.options().will->retained);
  linked.broker.say(mqtt::ConnectionLost{"gone", 0});
  linked.turn();
  CHECK_FALSE(linked.link.up());
  CHECK_FALSE(linked.engine.state().connected);
}

TEST_CASE(
    "the list of revoked certificates is published after the broker's own was seen, once, and again when it changes") {
  const std::string topic = root + "coordinator/crl";
  Linked linked;
  linked.list = std::make_shared<const std::string>("list 2");
  linked.link.tick();
  linked.hear({topic, "list 3", 1, true, {}, {}});  // what the broker has kept
  linked.turn();
  CHECK(linked.seen_lists == std::vector<std::string>{"list 3"});
  CHECK(linked.broker.on(topic) == 0);
  const auto ticked = [&](std::size_t count) {
    for (const Time until = monotonic_now() + std::chrono::seconds(10); monotonic_now() < until;) {
      linked.link.tick();
      if (linked.broker.on(topic) == count) return true;
    }
    return false;
  };
  REQUIRE(ticked(1));
  linked.hear({topic, "list 2", 1, false, {}, {}});  // its echo
  linked.turn();
  linked.link.tick();
  CHECK(linked.seen_lists.size() == 1);
  CHECK(linked.broker.on(topic) == 1);
  linked.list = std::make_shared<const std::string>("list 4");
  CHECK(ticked(2));
  linked.list = std::make_shared<const std::string>(300'000, 'x');  // too long
  linked.link.tick();
  CHECK(linked.broker.on(topic) == 2);
}

TEST_CASE("a task over MQTT is answered when its outcome is durable") {
  Linked linked;
  linked.hear(linked.submission());
  linked.turn();
  REQUIRE(linked.engine.state().tasks.size() == 1);
  CHECK(linked.broker.on(reply_topic) == 0);
  linked.engine.step(CancelTask{0, linked.engine.state().tasks.begin()->first});
  CHECK(linked.broker.on(reply_topic) == 0);
  linked.turn();
  CHECK(linked.broker.on(reply_topic) == 1);
  CHECK(linked.answer().correlation_data == "data");
}

TEST_CASE("the same key twice in one turn over MQTT is one task, and both are answered") {
  Linked linked;
  linked.hear(linked.submission("key"));
  linked.hear(linked.submission("key"));
  linked.turn();
  REQUIRE(linked.engine.state().tasks.size() == 1);
  linked.engine.step(CancelTask{0, linked.engine.state().tasks.begin()->first});
  linked.turn();
  CHECK(linked.broker.on(reply_topic) == 2);
}

TEST_CASE(
    "a description that is not what its digest names, or is unusable, is not learned, and a good one is checked") {
  Linked linked;
  const std::string schema = R"({"type":"object"})";
  const std::string unusable = R"({"type":7})";
  AgentInfo info;
  info.session = *SessionId::parse("a");
  ExecutorInfo executor;
  executor.name = *ExecutorName::parse("main");
  executor.capabilities = {*Capability::parse("work")};
  executor.parameters[executor.capabilities.front()] = text_digest(schema);
  info.executors = {executor};
  linked.hear({root + "agents/pi-1/info", protocol::encode(info)});
  Heartbeat beat;
  beat.session = info.session;
  beat.coordinator = linked.engine.state().reign;
  linked.hear({root + "agents/pi-1/heartbeat", protocol::encode(beat)});
  linked.turn();
  CHECK(linked.engine.state().parameters.asked.count(text_digest(schema)) == 1);
  linked.link.perform(SendDescribe{*AgentName::parse("pi-1"), {text_digest(schema)}});
  CHECK(linked.broker.on(root + "control/pi-1") == 1);
  const auto tell = [&](const std::string& digest, const std::string& text) {
    std::size_t first = 0;
    linked.hear({root + "agents/pi-1/parameters", protocol::encode_parameters(info.session, {{digest, text}}, first)});
    linked.turn();
    return linked.engine.state().parameters.known.size();
  };
  CHECK(tell(text_digest(schema), R"({"type":"string"})") == 0);
  CHECK(tell(text_digest(unusable), unusable) == 0);
  linked.hear({root + "agents/pi-1/parameters", "rubbish"});
  CHECK(tell(text_digest(schema), schema) == 1);
  mqtt::Message submission = linked.submission();
  submission.payload = R"({"capability":"work","input":"no object"})";
  linked.hear(submission);
  linked.turn();
  CHECK(linked.engine.state().tasks.empty());
  REQUIRE(linked.broker.on(reply_topic) == 1);
  CHECK(linked.answer().payload.find("must be of type object") != std::string::npos);
}

TEST_CASE("messages over the bound, in bytes or in number, are dropped and counted") {
  Linked linked;
  const auto before = linked.complaints.count();
  linked.hear({root + "heartbeat/pi-1", std::string(5000, 'x')});
  CHECK(linked.inbox.empty());
  linked.inbox_full = true;
  linked.hear({root + "heartbeat/pi-1", "{}"});
  CHECK(linked.inbox.empty());
  linked.broker.say(mqtt::ConnectionLost{"gone", 0});  // connection events are always accepted
  CHECK(linked.inbox.size() == 1);
  linked.link.notice_drops();
  CHECK(linked.complaints.count() == before + 1);
  linked.inbox_full = false;
  linked.inbox.clear();
  linked.hear({root + "heartbeat/pi-1", std::string(900, 'x')});  // dropped messages take no room
  CHECK(linked.inbox.size() == 1);
}

TEST_CASE("one sender has a quarter of the inbox, in bytes and in messages, and others have room beside it") {
  Linked linked;
  const auto heard = [&](const std::string& topic, std::size_t bytes) {
    const auto before = linked.inbox.size();
    linked.hear({root + topic, std::string(bytes, 'x')});
    return linked.inbox.size() > before;
  };
  CHECK(heard("agents/pi-1/heartbeat", 900));
  CHECK_FALSE(heard("results/pi-1", 900));
  CHECK(heard("results/pi-2", 900));
  CHECK(heard("submit/pi-1", 900));  // a client of the same name is another sender
  for (int i = 0; i < 4; ++i) CHECK(heard("agents/pi-3/heartbeat", 1));
  CHECK_FALSE(heard("agents/pi-3/heartbeat", 1));
  CHECK(heard("agents/pi-4/temperature", 1));
  linked.turn();
  for (int i = 0; i < 4; ++i) CHECK(heard("agents/pi-3/heartbeat", 1));
  CHECK(heard("agents/pi-5/heartbeat", 3000));  // one message that is alone may be larger than the quarter
}

TEST_CASE("while the store fails, a submit is refused, and results and connection events are kept") {
  Linked linked;
  const Error full{"nothing new can be accepted", ErrorKind::full};
  CHECK_FALSE(linked.link.keep(linked.received(linked.submission()), true, full));
  linked.link.send_replies();
  CHECK(linked.broker.on(reply_topic) == 1);
  CHECK(linked.link.keep(linked.received({root + "results/pi-1", "{}"}), true, full));
  CHECK_FALSE(linked.link.keep(linked.received({root + "results/pi-1", "{}"}), false, full));
  CHECK(linked.link.keep(mqtt::ConnectionLost{"gone", 0}, false, full));
  CHECK_FALSE(linked.link.keep(mqtt::Delivered{}, true, full));
  CHECK(linked.engine.state().tasks.empty());
}

TEST_CASE("an agent that floods the coordinator with unknown results is answered up to its bound") {
  Linked linked;
  const AgentName agent = *AgentName::parse("pi-1");
  const std::size_t before = linked.broker.published().size();
  std::vector<AttemptKey> keys(128, AttemptKey{TaskId{Ulid{1, 1}}, 1});
  for (int i = 0; i < 20; ++i) linked.link.perform(AskStore{agent, keys});
  const auto answers = linked.broker.published().size() - before;
  CHECK(answers >= 8);
  CHECK(answers < 20);
  linked.link.perform(AskStore{*AgentName::parse("pi-2"), keys});
  CHECK(linked.broker.published().size() == before + answers + 1);
}

TEST_CASE("results of tasks that are not in memory are acknowledged as the store has them") {
  Linked linked;
  const std::size_t before = linked.broker.published().size();
  linked.link.perform(AskStore{*AgentName::parse("pi-1"), {{TaskId{Ulid{1, 1}}, 1}}});
  const auto published = linked.broker.published();
  REQUIRE(published.size() == before + 1);
  CHECK(published.back().payload.find("unknown") != std::string::npos);
}
