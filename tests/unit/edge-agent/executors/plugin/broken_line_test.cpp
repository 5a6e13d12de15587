#include "edge-agent/executors/plugin/broken_line.hpp"

#include "tests/support/catch.hpp"

namespace edgefleet::agent {
namespace {

const std::string id = "01J00000000000000000000001";
const std::string other = "01J00000000000000000000002";
std::string head() { return R"({"type":"result","id":")" + id + R"(","attempt":3,)"; }

TEST_CASE("the task of a broken result is found, at any place in the object") {
  for (const auto& line :
       {head() + R"("output":NaN})", head() + R"("output":{"id":")" + other + R"(","attempt":9)",
        R"({"output":[{"id":")" + other + R"(","attempt":9,"type":"progress"},1e999],"id" : ")" + id +
            R"(", "type" : "result","attempt" : 3})",
        R"({"output":"a \" quote, \"id\":1 and a brace } \ud800","attempt":3,"type":"result","id":")" + id + "\"}",
        head() + "\"output\":\"\xFF\xFE\"}", head() + R"("output":")" + std::string(1000, 'x')}) {
    INFO(line);
    const auto result = result_of_broken(line);
    REQUIRE(result.has_value());
    CHECK(result->key.id.str() == id);
    CHECK(result->key.attempt == 3);
    REQUIRE(result->error.has_value());
    CHECK(result->error->code == "plugin_error");
    CHECK_FALSE(result->error->retryable);
  }
}

TEST_CASE("a broken line that names no task fails no task") {
  for (const auto& line : std::vector<std::string>{
           "", "not json", "[1", "\"", "\"\\", "{", "}}}}", R"({"type":"result","attempt":1,"output":NaN})",
           R"({"type":"result","id":")" + id + R"(","output":NaN})",
           R"({"type":"result","id":")" + id + R"(","attempt":"1","output":NaN})",
           R"({"type":"result","id":")" + id + R"(","attempt":-1,"output":NaN})",
           R"({"type":"progress","id":")" + id + R"(","attempt":1,"percent":NaN})",
           R"({"output":{"type":"result","id":")" + id + R"(","attempt":1},NaN})",
           R"([{"type":"result","id":")" + id + R"(","attempt":1,NaN}])", std::string(100'000, '['),
           std::string(100'000, ']')}) {
    INFO(line.substr(0, 100));
    CHECK_FALSE(result_of_broken(line).has_value());
  }
}

TEST_CASE("the error of a line has a text") {
  CHECK(what_is_broken(head() + R"("output":-Infinity})") == "it contains -Infinity, which is not JSON");
  CHECK(what_is_broken("{\"output\":\"NaN\",}").find("it is not valid JSON for this agent") == 0);
  CHECK(what_is_broken("\xFF") == "it is not UTF-8");
  CHECK(what_is_broken(std::string(longest_plugin_line, 'x')).find("it is longer than 1.0 MiB") == 0);
}

}  // namespace
}  // namespace edgefleet::agent
