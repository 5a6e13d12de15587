// Demands of a request that are read before it is mapped to the format of Ollama or Gemini.
#include "edge-agent/executors/llm/mapped_request.hpp"

#include "edge-agent/executors/llm/provider.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/llm_config.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

Result<BackendRequest> encoded(const char* provider, const std::string& messages, const std::string& more = "") {
  return make_provider(config_of(provider))
      ->encode(RequestKind::chat, R"({"model":"m","messages":[)" + messages + "]" + more + "}");
}

const std::string user = R"({"role":"user","content":"?"})";

}  // namespace

TEST_CASE("a demand of another type is an error that names it, at each provider with a format of its own") {
  struct Row {
    const char* field;
    std::string messages;
    std::string more = "";
  };
  const std::string tools = R"(,"tools":[{"type":"function","function":{"name":"f"}}])";
  const std::vector<Row> rows = {
      {"response_format", user, R"(,"response_format":"json_object")"},
      {"response_format", user, R"(,"response_format":[{"type":"json_object"}])"},
      {"response_format", user, R"(,"response_format":{"json_schema":{"schema":{"type":"object"}}})"},
      {"tool_choice", user, R"(,"tool_choice":"required")"},
      {"tool_choice", user, R"(,"tools":[],"tool_choice":{"type":"function","function":{"name":"f"}})"},
      {"tools", user, R"(,"tools":{"f":{"type":"function","function":{"name":"f"}}})"},
      {"reasoning_effort", user, R"(,"reasoning_effort":5)"},
      {"stop", user, R"(,"stop":5)"},
      {"stop", user, R"(,"stop":["a",5])"},
      {"role", R"({"role":"critic","content":"x"})"},
      {"role", R"({"role":"function","name":"f","content":"42"})"},
      {"function_call", R"({"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}})"},
      {"tool_calls", R"({"role":"assistant","content":"","tool_calls":{"id":"a"}})"},
      {"tool_calls", R"({"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function"}]})"},
      {"custom", R"({"role":"assistant","content":"","tool_calls":[{"id":"a","type":"custom","custom":{}}]})"},
      {"audio", R"({"role":"assistant","content":null,"audio":{"id":"x"}})"},
      {"refusal", R"({"role":"assistant","content":null,"refusal":["no"]})"},
      {"content", R"({"role":"user","content":["x"]})"},
      {"text", R"({"role":"user","content":[{"type":"text","text":5}]})"},
  };
  for (const char* provider : {"ollama", "gemini"}) {
    for (const Row& row : rows) {
      INFO(provider << " " << row.messages << row.more);
      const auto request = encoded(provider, row.messages, row.more);
      REQUIRE_FALSE(request);
      CHECK(request.error().message.find("`" + std::string(row.field) + "`") != std::string::npos);
    }
    CHECK(encoded(provider, user, tools + R"(,"stop":["a"],"response_format":{},"tool_choice":"auto")"));
    CHECK(encoded(provider, user, R"(,"tool_choice":"none","tools":null,"reasoning_effort":null)"));
  }
}

TEST_CASE("a refusal of an earlier turn is its text, and no turn is without a part") {
  const std::string refused = user + R"(,{"role":"assistant","content":null,"refusal":"I will not"},)" + user;
  const auto ollama = encoded("ollama", refused);
  REQUIRE(ollama);
  CHECK(ollama->body.find(R"({"role":"assistant","content":"I will not"})") != std::string::npos);
  const auto gemini = encoded("gemini", refused);
  REQUIRE(gemini);
  CHECK(gemini->body.find(R"({"role":"model","parts":[{"text":"I will not"}]})") != std::string::npos);
  const auto silent = encoded("gemini", user + R"(,{"role":"assistant","content":null},)" + user);
  REQUIRE(silent);
  CHECK(silent->body.find(R"("parts":[])") == std::string::npos);
}
