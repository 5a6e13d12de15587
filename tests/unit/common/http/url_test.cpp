#include "common/http/url.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet::http;

TEST_CASE("all characters except unreserved ones are percent-encoded") {
  CHECK(escape("aZ09-._~") == "aZ09-._~");
  CHECK(escape("a b/ü?&=") == "a%20b%2F%C3%BC%3F%26%3D");
}

TEST_CASE("parameters without a value are omitted from a query") {
  CHECK(with_query("/t", {{"a", ""}, {"b", "1"}, {"c", "x y"}}) == "/t?b=1&c=x%20y");
  CHECK(with_query("/t", {}) == "/t");
}

TEST_CASE("a base URL may be abbreviated") {
  CHECK(normal_base("pi.local:7001/") == "http://pi.local:7001");
  CHECK(normal_base("https://x/") == "https://x");
}

TEST_CASE("a URL needs http or https, and a host") {
  for (const char* url : {"http://x", "https://[::1]:7001", "http://127.0.0.1"}) CHECK(is_http_url(url));
  for (const char* url : {"", "http://", "http:///x", "http://:7001", "ftp://x", "x"}) CHECK_FALSE(is_http_url(url));
}

TEST_CASE("the port of a URL is from 1 to 65535") {
  for (const char* url : {"http://x:1", "http://x:65535/y", "https://[::1]/x:y", "http://me:key@x"})
    CHECK(is_http_url(url));
  for (const char* url :
       {"http://x:0", "http://x:99999", "http://x:", "http://x:a", "http://[::1]:70000", "http://x:-1"})
    CHECK_FALSE(is_http_url(url));
}

TEST_CASE("a typed address without a scheme names a server if it has a port") {
  for (const char* url :
       {"pi.local:7001", "10.0.0.2:7001/", "[::1]:7001", "localhost:1/api", "http://x", "https://x/y"})
    CHECK(is_server(url));
  for (const char* url : {"", "x", "x/y", "x/y:1", "nonsense", "[::1]", "x:99999", ":7001", "ftp://x"})
    CHECK_FALSE(is_server(url));
}

TEST_CASE("the names of this machine are recognised") {
  for (const char* url : {"http://localhost", "http://localhost:1", "http://127.0.0.1:7001", "http://[::1]:1/x"})
    CHECK(is_loopback(url));
  for (const char* url : {"http://localhost.example", "http://128.0.0.1", "https://pi-1:7001",
                          "http://127.evil.example", "http://127.0.0.1.evil.example:80"})
    CHECK_FALSE(is_loopback(url));
}
