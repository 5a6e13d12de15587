#include "common/pki/names.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::pki;

TEST_CASE("a DNS name is labels of a-z, 0-9 and '-', and does not look like an address") {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  for (const auto& name : {std::string("pi"), std::string("pi-1.local"), std::string("1.example"),
                           std::string("xn--p1ai"), label, longest}) {
    INFO(name);
    CHECK(DnsName::parse(name).has_value());
  }
  for (const auto& name :
       {std::string(""),        std::string("."),   std::string("pi."),     std::string(".pi"),
        std::string("a..b"),    std::string("-a"),  std::string("a-"),      std::string("Pi"),
        std::string("*.local"), std::string("a b"), std::string("a_b"),     std::string("a\nb"),
        std::string("a\0b", 3), std::string("a/b"), std::string("a,DNS:b"), std::string("1.2.3"),
        std::string("12"),      label + "a",        longest + "a",          std::string("\xc3\xa9.example")}) {
    INFO(name);
    CHECK_FALSE(DnsName::parse(name).has_value());
  }
}

TEST_CASE("a host is a DNS name, in small letters, or an address") {
  CHECK(std::get<DnsName>(*parse_host("Pi-1.LOCAL")).str() == "pi-1.local");
  CHECK(std::get<IpAddress>(*parse_host("192.168.1.5")).str() == "192.168.1.5");
  CHECK(std::get<IpAddress>(*parse_host("FE80:0::1")).str() == "fe80::1");
  for (const char* text : {"", "fe80::1%eth0", "[::1]", "192.168.1", "192.168.1.256", "1.2.3.4.5", "*.local", "a:1"}) {
    INFO(text);
    CHECK_FALSE(parse_host(text).ok());
  }
  CHECK_FALSE(parse_host(std::string("127.0.0.1\0.example", 18)).ok());
}

TEST_CASE("the error about a host quotes it in one short line") {
  const auto read = parse_host("evil\nlog line " + std::string(1000, 'x'));
  REQUIRE_FALSE(read.ok());
  CHECK(read.error().message.find('\n') == std::string::npos);
  CHECK(read.error().message.size() < 200);
}

TEST_CASE("a range is an address and the number of bits that count") {
  const auto range = parse_range("203.0.113.0/24");
  REQUIRE(range.ok());
  CHECK(range->first.str() == "203.0.113.0");
  CHECK(IpAddress{range->mask()}.str() == "255.255.255.0");
  CHECK(IpAddress{parse_range("172.16.0.0/12")->mask()}.str() == "255.240.0.0");
  CHECK(IpAddress{parse_range("2001:db8::/33")->mask()}.str() == "ffff:ffff:8000::");
  CHECK(parse_range("203.0.113.7")->prefix == 32);
  CHECK(parse_range("2001:db8::1")->prefix == 128);
  CHECK(parse_range("0.0.0.0/0")->prefix == 0);
}

TEST_CASE("what is no range is refused") {
  for (const char* text : {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/8/8",
                           "10.0.0.0/ 8", "10.1.0.0/8", "fc00::/129", "fe80::1/10", "home/8"}) {
    INFO(text);
    CHECK_FALSE(parse_range(text).ok());
  }
}
