// A forced tool call at Ollama, which has no `tool_choice`.
#include "edge-agent/executors/llm/forced_call.hpp"

#include "edge-agent/executors/llm/provider.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

constexpr const char* tools =
    R"("tools":[{"type":"function","function":{"name":"heat","parameters":{"type":"object","properties":)"
    R"({"room":{"$ref":"#/$defs/Room"}},"$defs":{"Room":{"type":"string"}}}}},)"
    R"({"type":"function","function":{"name":"stop"}}])";

Result<JsonText> schema(const std::string& choice, const std::string& more = "") {
  const std::string request = "{" + std::string(tools) + R"(,"tool_choice":)" + choice + more + "}";
  return schema_of_forced_call(Members(request));
}

std::unique_ptr<Provider> ollama() {
  Settings settings;
  settings.provider = "ollama";
  settings.url = "http://127.0.0.1:1";
  return make_provider(*Config::check(settings));
}

Answer hear(std::initializer_list<const char*> pieces, std::string* told = nullptr, Channel of = Channel::content) {
  Answer answer([told, of](std::string_view text, Channel channel) {
    if (told != nullptr && channel == of) *told += text;
  });
  answer.expect_call({"heat", "stop"});
  for (const char* piece : pieces) ollama()->decode(RequestKind::chat, piece, answer);
  return answer;
}

}  // namespace

TEST_CASE("nothing is forced without a demand for a call") {
  for (const char* choice : {"null", R"("auto")", R"("none")"}) {
    INFO(choice);
    REQUIRE(schema(choice));
    CHECK(schema(choice)->empty());
  }
}

TEST_CASE("the schema of a forced call has the function's own parameters, and their definitions at its root") {
  const auto one = schema(R"({"type":"function","function":{"name":"heat"}})");
  REQUIRE(one);
  CHECK(*one ==
        R"({"anyOf":[{"type":"object","properties":{"name":{"type":"string","enum":["heat"]},"arguments":)"
        R"({"type":"object","properties":{"room":{"$ref":"#/$defs/Room"}},"$defs":{"Room":{"type":"string"}}}},)"
        R"("required":["name","arguments"],"additionalProperties":false}],"$defs":{"Room":{"type":"string"}}})");
  const auto any = schema(R"("required")");
  REQUIRE(any);
  CHECK(Members(*any).list("anyOf").size() == 2);
  CHECK(any->find(R"("enum":["stop"]},"arguments":{"type":"object"})") != std::string::npos);
}

TEST_CASE("a demand that cannot be met is refused by name") {
  for (const char* choice : {R"({"type":"function","function":{"name":"none"}})", "5", R"("always")", "{}"}) {
    INFO(choice);
    const auto made = schema(choice);
    REQUIRE_FALSE(made);
    CHECK(made.error().message.find("`tool_choice`") == 0);
  }
  CHECK_FALSE(schema_of_forced_call(Members(R"({"tool_choice":"required"})")));
  const auto both = schema(R"("required")", R"(,"response_format":{"type":"json_object"})");
  REQUIRE_FALSE(both);
  CHECK(both.error().kind == ErrorKind::unsupported);
}

TEST_CASE("a forced request to Ollama has the schema and the tools") {
  const auto call = ollama()->encode(
      RequestKind::chat, R"({"model":"m","messages":[{"role":"user","content":"x"}],"tool_choice":"required",)" +
                             std::string(tools) + "}");
  REQUIRE(call);
  CHECK(call->forced_call.contains("heat"));
  CHECK(call->forced_call.size() == 2);
  CHECK(is_object(Members(call->body).at("format")));
  CHECK(Members(call->body).list("tools").size() == 2);
  const auto free = ollama()->encode(
      RequestKind::chat, R"({"model":"m","messages":[{"role":"user","content":"x"}],)" + std::string(tools) + "}");
  REQUIRE(free);
  CHECK(free->forced_call.empty());
  CHECK_FALSE(Members(free->body).has("format"));
}

TEST_CASE("the text of a forced answer is a tool call, and is not streamed as text") {
  std::string told;
  const Answer answer = hear({R"({"message":{"content":"{\"name\":\"heat\","}})",
                              R"({"message":{"content":"\"arguments\":{\"z\":1,\"a\":2}}"}})",
                              R"({"message":{"content":""},"done":true,"done_reason":"stop"})"},
                             &told);
  CHECK(told.empty());
  CHECK_FALSE(answer.error());
  CHECK(answer.finish_reason() == "tool_calls");
  const auto output = answer.output(RequestKind::chat);
  CHECK(output.find(R"("name":"heat")") != std::string::npos);
  CHECK(output.find(R"({\"z\":1,\"a\":2})") != std::string::npos);
  CHECK(output.find(R"("content":null)") != std::string::npos);
}

TEST_CASE("a forced call is streamed as a call, once it is complete") {
  std::string told;
  const Answer answer = hear({R"({"message":{"content":"{\"name\":\"heat\",\"arguments\":{\"a\":1}}"}})",
                              R"({"message":{"content":""},"done":true,"done_reason":"stop"})"},
                             &told, Channel::tool_calls);
  CHECK_FALSE(answer.error());
  CHECK(told.find(R"("name":"heat")") != std::string::npos);
  CHECK(told.find(R"({"index":0,"arguments":"{\"a\":1}"})") != std::string::npos);
}

TEST_CASE("a call that Ollama has recognized itself is that call") {
  const Answer answer = hear({R"({"message":{"tool_calls":[{"function":{"name":"heat","arguments":{"a":1}}}]}})",
                              R"({"message":{"content":""},"done":true,"done_reason":"stop"})"});
  CHECK_FALSE(answer.error());
  CHECK(answer.finish_reason() == "tool_calls");
}

TEST_CASE("a forced answer without a call is an error, unless it was cut") {
  const Answer other =
      hear({R"({"message":{"content":"I would rather not"}})", R"({"done":true,"done_reason":"stop"})"});
  REQUIRE(other.error());
  CHECK(other.error()->code == "bad_answer");
  const Answer cut = hear({R"({"message":{"content":"{\"name\":\"he"}})", R"({"done":true,"done_reason":"length"})"});
  CHECK_FALSE(cut.error());
  CHECK(cut.finish_reason() == "length");
}

TEST_CASE("a forced call of a function that was not offered is an error") {
  const Answer other = hear(
      {R"({"message":{"content":"{\"name\":\"rm_rf\",\"arguments\":{}}"}})", R"({"done":true,"done_reason":"stop"})"});
  REQUIRE(other.error());
  CHECK(other.error()->code == "bad_answer");
}

TEST_CASE("only an object with the name of an offered function and arguments is a call") {
  CHECK(call_in(R"( {"name":"f","arguments":{}} )", {"f"}) == R"({"function":{"name":"f","arguments":{}}})");
  for (const char* text :
       {"", "{", "null", "[]", R"({"name":"f"})", R"({"name":5,"arguments":{}})", R"({"name":"f","arguments":"{}"})",
        R"(x {"name":"f","arguments":{}})", R"({"name":"g","arguments":{}})"}) {
    INFO(text);
    CHECK_FALSE(call_in(text, {"f"}));
  }
}
