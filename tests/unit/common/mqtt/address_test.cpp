#include "common/mqtt/paho_client.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("the address of a broker has a host, and a port with the default 1883") {
  CHECK(*mqtt::paho_uri("mqtt://broker") == "tcp://broker:1883");
  CHECK(*mqtt::paho_uri("mqtt://broker/") == "tcp://broker:1883");
  CHECK(*mqtt::paho_uri("mqtt://10.0.0.2:1884") == "tcp://10.0.0.2:1884");
  CHECK(*mqtt::paho_uri("mqtt://[::1]") == "tcp://[::1]:1883");
  CHECK(*mqtt::paho_uri("mqtt://[::1]:1884") == "tcp://[::1]:1884");
}

TEST_CASE("an invalid address is refused, and the message has the address and the valid form") {
  for (const char* wrong :
       {"", "broker", "broker:1883", "tcp://broker", "mqtt://", "mqtt://:1883", "mqtt://broker:", "mqtt://broker:0",
        "mqtt://broker:65536", "mqtt://broker:18x", "mqtt://user@broker", "mqtt://broker/path", "mqtt://a b"}) {
    INFO(wrong);
    const auto uri = mqtt::paho_uri(wrong);
    REQUIRE_FALSE(uri);
    CHECK(uri.error().kind == ErrorKind::invalid);
    CHECK(uri.error().message.find(wrong) != std::string::npos);
    CHECK(uri.error().message.find("mqtt://HOST:PORT") != std::string::npos);
  }
}
