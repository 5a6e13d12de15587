#include "common/http_server/message.hpp"

#include "common/http_server/address.hpp"
#include "common/http_server/file_reader.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet::http_server;

TEST_CASE("header names compare without case, lists by their elements") {
  const Headers headers{{"Content-Type", "text/plain"}, {"connection", "keep-alive, Upgrade"}, {"X", "1"}, {"x", "2"}};
  CHECK(headers.get("content-type") == "text/plain");
  CHECK(headers.get("absent").empty());
  CHECK(headers.lists("Connection", "upgrade"));
  CHECK_FALSE(headers.lists("Connection", "close"));
  CHECK(headers.count("x") == 2);
}

TEST_CASE("parameters of a query string are decoded") {
  Request request;
  request.query = "wait=10&name=a+b%26c&empty=&flag&wait=20&broken=%zz";
  CHECK(request.parameter("wait") == "10");
  CHECK(request.parameter("name") == "a b&c");
  CHECK(request.parameter("empty") == "");
  CHECK(request.parameter("flag") == "");
  CHECK_FALSE(request.parameter("broken"));
  CHECK_FALSE(request.parameter("absent"));
}

TEST_CASE("a broken escape, or a NUL, is not decoded") {
  for (const char* bad : {"%", "%4", "%zz", "a%00b"}) CHECK_FALSE(percent_decode(bad, false));
  CHECK(percent_decode("a%2Fb+c", false) == "a/b+c");
}

TEST_CASE("a range is one part of a file, all of it, or impossible") {
  ByteRange range;
  CHECK(read_range("bytes=2-4", 10, range) == RangeKind::part);
  CHECK((range.first == 2 && range.count == 3));
  CHECK(read_range("bytes=5-", 10, range) == RangeKind::part);
  CHECK((range.first == 5 && range.count == 5));
  CHECK(read_range("bytes=-3", 10, range) == RangeKind::part);
  CHECK((range.first == 7 && range.count == 3));
  CHECK(read_range("bytes=8-99", 10, range) == RangeKind::part);
  CHECK((range.first == 8 && range.count == 2));
  CHECK(read_range("bytes=-99", 10, range) == RangeKind::part);
  CHECK((range.first == 0 && range.count == 10));
  CHECK(read_range("bytes=5-99999999999999999999", 10, range) == RangeKind::part);
  CHECK((range.first == 5 && range.count == 5));
  for (const char* none : {"bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999-"}) {
    CHECK(read_range(none, 10, range) == RangeKind::unsatisfiable);
  }
  CHECK(read_range("bytes=0-0", 0, range) == RangeKind::unsatisfiable);
  for (const char* whole :
       {"", "bytes=", "bytes=-", "bytes=4-2", "bytes=a-b", "bytes=1-2,4-5", "lines=1-2", "bytes=1-x"}) {
    INFO(whole);
    CHECK(read_range(whole, 10, range) == RangeKind::whole);
  }
}

TEST_CASE("an address to listen on is a host and a port") {
  CHECK(parse_listen("127.0.0.1:7001")->port == 7001);
  CHECK(parse_listen("[::1]:0")->host == "::1");
  for (const char* all : {":7001", "*:7001", "[::]:7001"}) {
    INFO(all);
    CHECK(parse_listen(all)->all());
  }
  for (const char* wrong :
       {"", "localhost", "localhost:", "localhost:x", "localhost:70000", "localhost:-1", "::1:7001", "[]:1", "[*]:1"}) {
    INFO(wrong);
    CHECK_FALSE(parse_listen(wrong));
  }
  for (const char* loopback : {"127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "localhost:1"}) {
    CHECK(parse_listen(loopback)->loopback());
  }
  for (const char* open : {":1", "192.168.1.7:1", "pi-1.local:1", "127.example.org:1"}) {
    CHECK_FALSE(parse_listen(open)->loopback());
  }
}

TEST_CASE("what is printed is an address that one can open") {
  CHECK(url_of(*parse_listen("[::1]:7001"), false) == "http://[::1]:7001");
  CHECK(url_of(*parse_listen("*:7001"), true) == "https://localhost:7001");
  CHECK(url_of(*parse_listen("pi-1.local:7001"), false) == "http://pi-1.local:7001");
}
