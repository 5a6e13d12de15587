#include "common/mqtt/session.hpp"
#include "common/mqtt/paho_client.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::mqtt;
using namespace std::chrono_literals;

namespace {
const Time start{1h};
template <typename T>
std::size_t count(const Actions& actions) {
  std::size_t n = 0;
  for (const auto& action : actions) n += std::holds_alternative<T>(action) ? 1U : 0U;
  return n;
}
Session connected() {
  Session session(1);
  session.start(start);
  session.on(Connected{}, start);
  session.on(Subscribed{}, start);
  return session;
}
}  // namespace

TEST_CASE("it subscribes on every connect and is up only then") {
  Session session(1);
  CHECK(count<DoConnect>(session.start(start)) == 1);
  CHECK(count<DoSubscribe>(session.on(Connected{}, start)) == 1);
  CHECK_FALSE(session.up());
  CHECK(count<TellUp>(session.on(Subscribed{}, start)) == 1);
  CHECK(session.up());
  CHECK(count<TellDown>(session.on(ConnectionLost{"cable", 0}, start)) == 1);
  REQUIRE(session.next_tick());
  CHECK(count<DoConnect>(session.tick(*session.next_tick())) == 1);
  CHECK(count<DoSubscribe>(session.on(Connected{}, start)) == 1);
}

TEST_CASE("it retries without end, with growing pauses") {
  Session session(1);
  session.start(start);
  Time now = start;
  for (int i = 0; i < 50; ++i) {
    session.on(ConnectFailed{"no"}, now);
    REQUIRE(session.next_tick());
    CHECK(*session.next_tick() - now >= 100ms);
    CHECK(*session.next_tick() - now <= 2s);
    now = *session.next_tick();
    CHECK(count<DoConnect>(session.tick(now)) == 1);
  }
}

TEST_CASE("at most a window of messages is in flight, the others wait") {
  Session session = connected();
  std::size_t sent = 0;
  for (std::size_t i = 0; i < Session::window + 100; ++i)
    sent += count<DoSend>(session.publish({"t", std::to_string(i)}));
  CHECK(sent == Session::window);
  for (std::size_t i = 0; i < 100; ++i) CHECK(count<DoSend>(session.on(Delivered{}, start)) == 1);
  CHECK(count<DoSend>(session.on(Delivered{}, start)) == 0);
}

TEST_CASE("messages that cannot be sent are dropped and counted, and a connection loss empties the queue") {
  Session session(1);
  session.publish({"t", "too early"});
  CHECK(session.dropped() == 1);
  Session up = connected();
  for (std::size_t i = 0; i < Session::window + 10; ++i) up.publish({"t", "x"});
  up.on(ConnectionLost{"gone", 0}, start);
  CHECK(up.dropped() == 10);
  CHECK(up.idle());
}

TEST_CASE("a message that is larger than the broker allows is not sent, since the broker would end the connection") {
  Session session(1);
  session.start(start);
  BrokerLimits limits;
  limits.packet_bytes = 10'000;
  session.on(Connected{limits}, start);
  session.on(Subscribed{}, start);
  Message message{"t", std::string(9'500, 'x')};
  message.id = 7;
  const auto refused = session.publish(message);
  REQUIRE(count<TellRefused>(refused) == 1);
  CHECK(std::get<TellRefused>(refused.front()).id == 7);
  CHECK(std::get<TellRefused>(refused.front()).reason.find("10000") != std::string::npos);
  CHECK(session.idle());
  CHECK(count<DoSend>(session.publish({"t", std::string(8'000, 'x')})) == 1);
}

TEST_CASE("a message that the broker refuses for good is told; other refusals are trouble") {
  Session session = connected();
  Message message{"t", "x"};
  message.id = 9;
  session.publish(message);
  const auto refused = session.on(Delivered{false, "packet too large", 149, 9}, start);
  REQUIRE(count<TellRefused>(refused) == 1);
  CHECK(std::get<TellRefused>(refused.front()).id == 9);
  session.publish(message);
  const auto denied = session.on(Delivered{false, "not authorized", 135, 9}, start);
  CHECK(count<TellRefused>(denied) == 0);
  CHECK(count<TellTrouble>(denied) == 1);
}

TEST_CASE("a broker that takes fewer messages at once gets fewer, and one that lacks what is needed is told about") {
  Session session(1);
  session.start(start);
  BrokerLimits limits;
  limits.in_flight = 3;
  session.on(Connected{limits}, start);
  session.on(Subscribed{}, start);
  std::size_t sent = 0;
  for (int i = 0; i < 10; ++i) sent += count<DoSend>(session.publish({"t", "x"}));
  CHECK(sent == 3);
  for (const bool retain : {true, false}) {
    BrokerLimits poor;
    poor.retain = retain;
    poor.qos = retain ? 0 : 2;
    Session other(1);
    other.start(start);
    const auto actions = other.on(Connected{poor}, start);
    CHECK(count<DoSubscribe>(actions) == 0);
    CHECK(count<TellTrouble>(actions) == 1);
    CHECK(other.next_tick());
  }
}

TEST_CASE("a message that is sent alone has nothing beside it in flight") {
  Session session = connected();
  CHECK(count<DoSend>(session.publish({"t", "before"})) == 1);
  CHECK(count<DoSend>(session.publish({"t", "alone"}, true)) == 0);
  CHECK(count<DoSend>(session.publish({"t", "after"})) == 0);
  CHECK(count<DoSend>(session.publish({"t", "after"})) == 0);
  CHECK(count<DoSend>(session.on(Delivered{}, start)) == 1);  // alone
  CHECK(count<DoSend>(session.publish({"t", "later"})) == 0);
  CHECK(count<DoSend>(session.on(Delivered{}, start)) == 3);  // the others together

  session.on(Delivered{}, start);
  session.on(Delivered{}, start);
  session.on(Delivered{}, start);
  CHECK(count<DoSend>(session.publish({"t", "alone"}, true)) == 1);
  session.on(ConnectionLost{"cable", 0}, start);
  session.tick(*session.next_tick());
  session.on(Connected{}, start);
  session.on(Subscribed{}, start);
  CHECK(count<DoSend>(session.publish({"t", "next"})) == 1);
}

namespace {
std::string told(const Actions& actions) {
  for (const auto& action : actions) {
    if (const auto* trouble = std::get_if<TellTrouble>(&action)) return trouble->reason;
  }
  return {};
}
}  // namespace

TEST_CASE("the reason of failed attempts is told once, again when it changes, and then less and less often") {
  Session session(1);
  session.start(start);
  Time now = start;
  std::vector<Time> times;
  const auto fail = [&](const std::string& reason) {
    const auto line = told(session.on(ConnectFailed{reason}, now));
    now = *session.next_tick();
    session.tick(now);
    return line;
  };
  CHECK(fail("unknown host") == "unknown host; trying again");
  CHECK(fail("unknown host").empty());
  CHECK(fail("refused") == "refused; trying again");
  int lines = 0;
  while (now < start + 1h) lines += fail("refused").empty() ? 0 : 1;
  CHECK(lines >= 4);  // after 1, 3, 7, 15 and 31 minutes
  CHECK(lines <= 6);
}

TEST_CASE("a connection that works makes the next failure worth telling again") {
  Session session(1);
  session.start(start);
  CHECK_FALSE(told(session.on(ConnectFailed{"refused"}, start)).empty());
  session.tick(*session.next_tick());
  session.on(Connected{}, start);
  session.on(Subscribed{}, start);
  session.on(ConnectionLost{"cable", 0}, start + 1s);
  session.tick(*session.next_tick());
  CHECK_FALSE(told(session.on(ConnectFailed{"refused"}, start + 2s)).empty());
}

TEST_CASE("a broker that refuses the client is asked less and less often, but again within half a minute") {
  Session session(1);
  session.start(start);
  Time now = start;
  Duration pause{};
  for (int i = 0; i < 20; ++i) {
    session.on(ConnectFailed{"not authorized", true}, now);
    pause = *session.next_tick() - now;
    now = *session.next_tick();
    session.tick(now);
  }
  CHECK(pause >= 15s);
  CHECK(pause <= 30s);
}

TEST_CASE("a connect that failed before the broker was asked is tried again soon, in silence") {
  Session session(1);
  session.start(Time{});
  const auto actions = session.on(ConnectFailed{"early", false, true}, Time{1s});
  CHECK(actions.empty());
  REQUIRE(session.next_tick());
  CHECK(*session.next_tick() == Time{1s} + early_pause);
  CHECK(session.tick(*session.next_tick()).size() == 1);
}
