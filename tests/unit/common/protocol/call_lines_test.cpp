#include "common/protocol/call_lines.hpp"

#include <rapidcheck.h>

#include "common/core/utf8.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::protocol;

TEST_CASE("a line of a call is unchanged after encoding and decoding") {
  CHECK(rc::check([](unsigned char index, bool begins, const std::string& text) {
    const CallLine line{index % most_tool_calls, begins ? R"({"id":"a"})" : "", valid_utf8(text)};
    const auto encoded = encode(line);
    RC_ASSERT(encoded.find('\n') == encoded.size() - 1);
    const auto read = decode_call_line(std::string_view(encoded).substr(0, encoded.size() - 1));
    RC_ASSERT(read.has_value());
    RC_ASSERT(read->index == line.index);
    RC_ASSERT(read->call == line.call);
    RC_ASSERT(read->arguments == line.arguments);
  }));
}

TEST_CASE("another line is none of a call") {
  for (const char* bad : {"", "5", "{}", R"({"index":-1})", R"({"index":128})", R"({"index":"0"})",
                          R"({"index":0,"arguments":{}})", R"({"index":0,"arguments":"\xff"})", R"({"index":0)"}) {
    INFO(bad);
    CHECK_FALSE(decode_call_line(bad));
  }
}

TEST_CASE("a call is taken apart into its name, its arguments, and everything else as it came") {
  const auto call = read_tool_call(R"({"id":"a","z":1.50,"function":{"a":1e400,"arguments":"{\"x\":1}","name":"f"}})");
  REQUIRE(call);
  CHECK(call->name == "f");
  CHECK(call->arguments == R"({"x":1})");
  CHECK(call->call == R"({"id":"a","z":1.50,"function":{"a":1e400,"arguments":"","name":"f"}})");
  for (const char* none : {R"({"function":{"name":"f"}})", R"({"function":{"name":"f","arguments":null}})"}) {
    CHECK(read_tool_call(none)->arguments.empty());
  }
  for (const char* bad : {"null", "5", "{}", R"({"function":5})", R"({"function":{}})", R"({"function":{"name":5}})"}) {
    INFO(bad);
    CHECK_FALSE(read_tool_call(bad));
  }
}

TEST_CASE("members that a call has got since it began are found, also those of its function") {
  const JsonText begun = R"({"id":"a","function":{"name":"f","arguments":""},"extra":1})";
  CHECK(members_beyond(begun, begun).empty());
  CHECK(members_beyond(R"({"id":"b","function":{"name":"f","arguments":"{}"},"extra":2})", begun).empty());
  CHECK(members_beyond(R"({"id":"a","function":{"name":"f","own":[1]},"late":{"z":1,"a":2}})", begun) ==
        R"({"late":{"z":1,"a":2},"function":{"own":[1]}})");
}
