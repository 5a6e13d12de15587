#include "edge-agent/plugins/image/protocol.hpp"

#include <string>
#include <vector>

#include "tests/support/catch.hpp"

using namespace edgefleet::image;
using nlohmann::json;

TEST_CASE("a task message is parsed into its parts, and unknown fields are ignored") {
  const auto message = parse_message(
      R"({"type":"task","id":"01J","attempt":2,"capability":"image.blur","input":{"a":1},"scratch":"/s","new":[]})");
  REQUIRE(std::holds_alternative<Task>(message));
  const auto& task = std::get<Task>(message);
  CHECK(task.key == TaskKey{"01J", 2});
  CHECK(task.capability == "image.blur");
  CHECK(task.input == json{{"a", 1}});
  CHECK(task.scratch == "/s");
}

TEST_CASE("a cancel message names its attempt") {
  const auto message = parse_message(R"({"type":"cancel","id":"01J","attempt":1})");
  REQUIRE(std::holds_alternative<Cancel>(message));
  CHECK(std::get<Cancel>(message).key == TaskKey{"01J", 1});
}

TEST_CASE("other lines are ignored, silently only if they are of a later protocol") {
  const auto reason = [](std::string_view line) { return std::get<Ignored>(parse_message(line)).reason; };
  CHECK(reason(R"({"type":"pause"})").empty());
  for (const char* line :
       {"", "garbage", "[]", "{", "\xFF\xFE", R"({"id":"x"})", R"({"type":7})", R"({"type":"task"})",
        R"({"type":"task","id":"x","attempt":"1"})", R"({"type":"cancel","id":"","attempt":1})",
        R"({"type":"task","id":"x","attempt":-1})", R"({"type":"task","id":"x","attempt":99999999999})"}) {
    CAPTURE(line);
    CHECK_FALSE(reason(line).empty());
  }
}

TEST_CASE("a deeply nested line is parsed or refused and never crashes") {
  CHECK(std::holds_alternative<Ignored>(parse_message(std::string(kMostLine, '['))));
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  CHECK(std::holds_alternative<Task>(parse_message(R"({"type":"task","id":"x","attempt":1,"input":)" + deep + "}")));
}

TEST_CASE("each answer is one line of JSON, for any bytes in it") {
  const std::string line = failure_line({"01J", 3}, {"bad_image", "line\nbreak and \xFF", false});
  CHECK(line.find('\n') == line.size() - 1);
  const auto message = json::parse(line);
  CHECK(message["type"] == "result");
  CHECK(message["id"] == "01J");
  CHECK(message["attempt"] == 3);
  CHECK(message["error"]["code"] == "bad_image");
  CHECK(message["error"]["retryable"] == false);
  CHECK(json::parse(progress_line({"a", 1}, 40, "blur")) ==
        json{{"type", "progress"}, {"id", "a"}, {"attempt", 1}, {"percent", 40}, {"text", "blur"}});
  CHECK(json::parse(result_line({"a", 1}, {{"x", 1}})) ==
        json{{"type", "result"}, {"id", "a"}, {"attempt", 1}, {"output", {{"x", 1}}}});
}
