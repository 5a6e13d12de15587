#include "cli/core/request.hpp"

#include "cli/core/arguments.hpp"
#include "common/protocol/json.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::cli;

TEST_CASE("an input is passed on byte for byte") {
  CHECK(*check_input(" {\"b\": 1.10, \"a\": 12345678901234567890}\n", "INPUT") ==
        "{\"b\": 1.10, \"a\": 12345678901234567890}");
}

TEST_CASE("the error for an input that is not JSON explains the quoting") {
  const auto input = check_input("hello", "INPUT");
  REQUIRE_FALSE(input);
  CHECK(input.error().message.find("'\"text\"'") != std::string::npos);
  CHECK(input.error().message.find("--text") != std::string::npos);
  CHECK(check_input("", "x.json").error().message.find("x.json is empty") == 0);
}

TEST_CASE("the error for an input over the limit names the alternative") {
  const auto input = check_input('"' + std::string(limits::most_task_bytes, 'x') + '"', "INPUT");
  REQUIRE_FALSE(input);
  CHECK(input.error().kind == ErrorKind::too_large);
  CHECK(input.error().message.find("edgefleet put") != std::string::npos);
}

TEST_CASE("any text becomes a JSON string") {
  const std::string text = "say \"hi\"\n\\ ü";
  CHECK(json::as_string(*text_input(text, "INPUT")) == text);
  CHECK_FALSE(text_input("\xff\xfe", "INPUT"));
}

TEST_CASE("the body of a task contains only the given fields") {
  TaskRequest request;
  request.capability = *Capability::parse("echo");
  request.input = "[1, 2]";
  CHECK(to_body(request) == R"({"capability":"echo","input":[1, 2]})");
  request.name = "n";
  request.priority = -5;
  request.timeout = std::chrono::seconds(2);
  request.max_attempts = 1;
  request.idempotency_key = "k";
  request.where = {{"board", "pi4"}};
  CHECK(to_body(request) == R"({"capability":"echo","input":[1, 2],"name":"n","priority":-5,"timeout_ms":2000,)"
                            R"("max_attempts":1,"idempotency_key":"k","where":{"board":"pi4"}})");
}

TEST_CASE("only a duration after --wait is its value") {
  using Words = std::vector<std::string>;
  CHECK(join_wait({"submit", "echo", "--wait", "30s", "1"}) == Words{"submit", "echo", "--wait=30s", "1"});
  CHECK(join_wait({"submit", "echo", "--wait", "\"x\""}) == Words{"submit", "echo", "--wait=forever", "\"x\""});
  CHECK(join_wait({"submit", "--wait"}) == Words{"submit", "--wait=forever"});
  CHECK(join_wait({"submit", "--wait=5"}) == Words{"submit", "--wait=5"});
  CHECK(join_wait({"submit", "--", "--wait"}) == Words{"submit", "--", "--wait"});
}

TEST_CASE("conditions are KEY=VALUE, and each key occurs once") {
  CHECK(*parse_where({"board=pi4", "note=a=b", "empty="}) == Where{{"board", "pi4"}, {"note", "a=b"}, {"empty", ""}});
  CHECK(*parse_where({"memory_mb>=4000", "cpus=4"}) == Where{{"memory_mb", ">=4000"}, {"cpus", "4"}});
  CHECK_FALSE(parse_where({"memory>=4GB"}));
  CHECK_FALSE(parse_where({"board"}));
  CHECK_FALSE(parse_where({"=x"}));
  CHECK_FALSE(parse_where({"a=1", "a=2"}));
}

TEST_CASE("names are checked before they are sent") {
  CHECK(parse_task_id("01JD3V8Q6T0000000000000000"));
  CHECK_FALSE(parse_task_id("../agents"));
  CHECK_FALSE(parse_capability("Echo"));
  CHECK_FALSE(parse_agent_name("pi/1"));
}
