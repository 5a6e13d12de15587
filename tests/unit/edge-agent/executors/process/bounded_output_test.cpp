#include "edge-agent/executors/process/bounded_output.hpp"

#include "common/protocol/json.hpp"
#include "tests/support/catch.hpp"

namespace edgefleet::agent {
namespace {

TEST_CASE("output within the bound is kept whole") {
  BoundedOutput output(10);
  output.append("12345");
  output.append("67890");
  CHECK(output.text() == "1234567890");
  CHECK(output.bytes() == 10);
  CHECK_FALSE(output.truncated(10));
}

TEST_CASE("output over the bound keeps its head, its tail and the true number of bytes") {
  BoundedOutput output(8);
  for (int i = 0; i < 1000; ++i) output.append("abc");
  output.append("tail");
  CHECK(output.bytes() == 3004);
  CHECK(output.truncated(8));
  CHECK(output.text() == "abca\n[... 2996 bytes omitted ...]\ntail");
}

TEST_CASE("the tail is correct for every size of chunk") {
  std::string all;
  for (int i = 0; i < 300; ++i) all += static_cast<char>('a' + i % 26);
  for (std::size_t chunk = 1; chunk < 40; ++chunk) {
    BoundedOutput output(20);
    for (std::size_t at = 0; at < all.size(); at += chunk) output.append(all.substr(at, chunk));
    CHECK(output.text() == all.substr(0, 10) + "\n[... 280 bytes omitted ...]\n" + all.substr(290));
  }
}

TEST_CASE("a smaller bound can be requested later") {
  BoundedOutput output(100);
  output.append("0123456789");
  CHECK(output.text(4) == "01\n[... 6 bytes omitted ...]\n89");
  CHECK(output.truncated(4));
  CHECK_FALSE(output.truncated(100));
  CHECK(output.text(0) == "\n[... 10 bytes omitted ...]\n");
}

TEST_CASE("characters that a cut splits are omitted") {
  BoundedOutput output(6);
  output.append("aa\xC3\xA4------\xC3\xA4zz");  // head "aa" + half a character, tail half a character + "zz"
  CHECK(output.text() == "aa\n[... 10 bytes omitted ...]\nzz");
}

TEST_CASE("the output of a program is a valid JSON string for any bytes") {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      BoundedOutput output(16);
      output.append(std::string{static_cast<char>(first), static_cast<char>(second)});
      REQUIRE(json::well_formed(json::quoted(output.text())));
      REQUIRE(json::as_string(json::quoted(output.text())) == output.text());  // nothing is left to be replaced
    }
  }
}

}  // namespace
}  // namespace edgefleet::agent
