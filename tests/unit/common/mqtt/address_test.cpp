#include "common/mqtt/address.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("the address of a broker has a host, and a port with the default 1883") {
  using mqtt::Address;
  CHECK(*mqtt::parse_address("mqtt://broker") == Address{"broker", 1883});
  CHECK(*mqtt::parse_address("mqtt://broker/") == Address{"broker", 1883});
  CHECK(*mqtt::parse_address("mqtt://10.0.0.2:1884/") == Address{"10.0.0.2", 1884});
  CHECK(*mqtt::parse_address("mqtt://[::1]") == Address{"::1", 1883});
  CHECK(*mqtt::parse_address("mqtt://[fd00::2]:1884") == Address{"fd00::2", 1884});
  CHECK(*mqtt::parse_address("mqtts://broker") == Address{"broker", 8883, true});
  CHECK(*mqtt::parse_address("mqtts://[fd00::2]:1884/") == Address{"fd00::2", 1884, true});
  CHECK(mqtt::authority_of({"broker"}) == "broker:1883");
  CHECK(mqtt::authority_of({"fd00::2", 1884}) == "[fd00::2]:1884");
}

TEST_CASE("an invalid address is refused, and the message has the address and the valid form") {
  for (const char* wrong : {"",
                            "broker",
                            "broker:1883",
                            "tcp://broker",
                            "mqtt://",
                            "mqtt://:1883",
                            "mqtt://broker:",
                            "mqtt://broker:0",
                            "mqtt://broker:65536",
                            "mqtts://",
                            "mqttss://broker",
                            "ssl://broker",
                            "mqtt://broker:18x",
                            "mqtt://user@broker",
                            "mqtt://broker/path",
                            "mqtt://a b",
                            "mqtt://::1",
                            "mqtt://[::1",
                            "mqtt://[]",
                            "mqtt://[::1]x"}) {
    INFO(wrong);
    const auto address = mqtt::parse_address(wrong);
    REQUIRE_FALSE(address);
    CHECK(address.error().kind == ErrorKind::invalid);
    CHECK(address.error().message.find(wrong) != std::string::npos);
    CHECK(address.error().message.find("mqtt://HOST:PORT") != std::string::npos);
  }
}
