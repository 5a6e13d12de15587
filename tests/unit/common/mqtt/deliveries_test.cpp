#include "common/mqtt/deliveries.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::mqtt;

namespace {

// Sends one message.
std::uint64_t sent(Deliveries& deliveries, const std::vector<AttemptKey>& attempts, std::size_t bytes) {
  return deliveries.sent(attempts, 0, attempts.size(), bytes);
}

AttemptKey key(int attempt) { return {*TaskId::parse("01KB5Z4C9X0000000000000000"), attempt}; }

}  // namespace

TEST_CASE("a message that is refused ends its attempt, once") {
  Deliveries deliveries;
  const auto first = sent(deliveries, {key(1)}, 100);
  const auto second = sent(deliveries, {key(2)}, 100);
  CHECK(deliveries.refused(second) == std::vector{key(2)});
  CHECK(deliveries.refused(second).empty());
  deliveries.on(Delivered{true, {}, 0, first});
  CHECK(deliveries.refused(first).empty());
  CHECK(deliveries.refused(0).empty());
}

TEST_CASE("after a refused message of several attempts, messages are smaller until each is alone") {
  Deliveries deliveries;
  CHECK(deliveries.most_bytes() == limits::payload_bytes);
  CHECK(deliveries.refused(sent(deliveries, {key(1), key(2)}, 60'000)).empty());
  CHECK(deliveries.most_bytes() == 30'000);
  CHECK(deliveries.refused(sent(deliveries, {key(1), key(2)}, 90'000)).empty());  // sent before
  CHECK(deliveries.most_bytes() == 30'000);
}

TEST_CASE("a connection has the bound of its broker, and nothing on its way") {
  Deliveries deliveries;
  const auto lost = sent(deliveries, {key(1)}, 100);
  BrokerLimits limits;
  limits.packet_bytes = 20'000;
  deliveries.on(Connected{limits});
  CHECK(deliveries.refused(lost).empty());
  CHECK(deliveries.most_bytes() == 20'000 - around_payload);
  limits.packet_bytes = 10;
  deliveries.on(Connected{limits});
  CHECK(deliveries.most_bytes() == 0);
  deliveries.on(Connected{});
  CHECK(deliveries.most_bytes() == limits::payload_bytes);
}

TEST_CASE(
    "an attempt that was in flight at two losses of the connection is sent alone, and given up after three more") {
  Deliveries deliveries;
  const auto lose_with = [&](const std::vector<AttemptKey>& in_flight) {
    deliveries.passed_on(sent(deliveries, in_flight, 100));
    return deliveries.on(ConnectionLost{"", 0});
  };
  CHECK(lose_with({key(1), key(2)}).empty());
  CHECK_FALSE(deliveries.suspects(key(1)));
  CHECK(deliveries.grouped(std::vector{key(1), key(2)}).size() == 1);
  CHECK(lose_with({key(1), key(2)}).empty());
  CHECK(deliveries.suspects(key(1)));
  CHECK(deliveries.grouped(std::vector{key(1), key(3), key(2), key(4)}) ==
        std::vector<std::vector<AttemptKey>>{{key(3), key(4)}, {key(1)}, {key(2)}});

  const auto innocent = sent(deliveries, {key(2)}, 100);
  deliveries.passed_on(innocent);
  deliveries.on(Delivered{true, {}, 0, innocent});
  CHECK_FALSE(deliveries.suspects(key(2)));

  CHECK(lose_with({key(1)}).empty());
  CHECK(lose_with({key(1)}).empty());
  CHECK(lose_with({key(1)}) == std::vector{key(1)});
  CHECK_FALSE(deliveries.suspects(key(1)));
}

TEST_CASE("a message that only waited for its turn has not ended the connection") {
  Deliveries deliveries;
  for (int loss = 0; loss < 10; ++loss) {
    sent(deliveries, {key(1)}, 100);
    CHECK(deliveries.on(ConnectionLost{"", 0}).empty());
  }
  CHECK_FALSE(deliveries.suspects(key(1)));
}
