#include "edge-agent/executors/llm/request.hpp"

#include <fstream>
#include <sstream>

#include "common/protocol/schema.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

constexpr std::array providers = {ProviderKind::ollama, ProviderKind::openai, ProviderKind::groq, ProviderKind::gemini};
const std::string chat = R"({"model":"m","messages":[{"role":"user","content":"hi"}])";

std::string refusal(ProviderKind provider, const std::string& field) {
  const auto request = check_request(RequestKind::chat, provider, chat + "," + field + "}");
  return request ? "" : request.error().message;
}

}  // namespace

TEST_CASE("a field that a provider does not support is refused by name, never silently dropped") {
  CHECK(refusal(ProviderKind::ollama, R"("logit_bias":{"5":1})").find("logit_bias") != std::string::npos);
  CHECK(refusal(ProviderKind::gemini, R"("logprobs":true)").find("logprobs") != std::string::npos);
  CHECK(refusal(ProviderKind::groq, R"("logprobs":true)").find("logprobs") !=
        std::string::npos);  // it would refuse too
  CHECK(refusal(ProviderKind::groq, R"("grammar":"x")").find("grammar") != std::string::npos);
  CHECK(refusal(ProviderKind::openai, R"("grammar":"x")").empty());  // servers of its kind have their own
  CHECK_FALSE(refusal(ProviderKind::openai, R"("n":2)").empty());
}

TEST_CASE("empty fields and fields about the caller are not refused") {
  for (const ProviderKind provider : providers) {
    CHECK(refusal(provider, R"("logprobs":false,"logit_bias":null,"tools":[],"user":"me","metadata":{"a":"b"},"n":1,)"
                            R"("stream":true)")
              .empty());
  }
  const auto request = check_request(RequestKind::chat, ProviderKind::openai, chat + R"(,"user":"me","stream":true})");
  REQUIRE(request);
  CHECK(request->size() == 2);
}

TEST_CASE("a malformed request is an error of the task") {
  for (const char* bad :
       {"1", "[]", "{", "{}", R"({"model":"m"})", R"({"model":"m","messages":[]})", R"({"model":"m","messages":[5]})",
        R"({"model":"m","messages":[{"role":"user","content":5}]})",
        R"({"model":"","messages":[{"role":"user","content":"x"}]})"}) {
    INFO(bad);
    CHECK_FALSE(check_request(RequestKind::chat, ProviderKind::openai, bad));
  }
  CHECK_FALSE(check_request(RequestKind::generate, ProviderKind::openai, R"({"model":"m","prompt":["a","b"]})"));
  CHECK_FALSE(check_request(RequestKind::embed, ProviderKind::openai, R"({"model":"m","input":[1,2]})"));
  CHECK(check_request(RequestKind::embed, ProviderKind::openai,
                      R"({"model":"m","input":["a","b"],"encoding_format":"float"})"));
}

TEST_CASE("the table in the docs is the table in the code") {
  std::ifstream file(EDGEFLEET_SOURCE_DIR "/docs/llm.md");
  const std::string docs{std::istreambuf_iterator<char>(file), {}};
  for (const RequestKind kind : {RequestKind::chat, RequestKind::generate, RequestKind::embed}) {
    for (const FieldRule& rule : field_rules(kind)) {
      std::ostringstream row;
      row << "| `" << rule.field << "` |";
      for (const Treatment treatment : rule.of) row << " " << to_string(treatment) << " |";
      row << " " << rule.note << (rule.note.empty() ? "|" : " |");
      INFO(row.str());
      CHECK(docs.find(row.str()) != std::string::npos);
    }
  }
}

TEST_CASE(
    "the schema of a request names the provider's fields, and a request that is refused for its shape does not fit") {
  for (const RequestKind kind : {RequestKind::chat, RequestKind::generate, RequestKind::embed}) {
    for (const ProviderKind provider : providers) {
      const std::string text = request_schema(kind, provider);
      const auto schema = edgefleet::protocol::Schema::compile(text);
      REQUIRE(schema);
      CHECK_FALSE(schema->check("{}"));
      CHECK_FALSE(schema->check(R"({"model":"m"})"));
      CHECK(
          schema->check(R"({"model":"m","messages":[{"role":"user"}],"prompt":"p","input":["a"],"temperature":null})"));
    }
  }
  const Json of_chat = Json::parse(request_schema(RequestKind::chat, ProviderKind::ollama));
  CHECK(of_chat["required"] == Json::array({"model", "messages"}));
  CHECK(of_chat["properties"].contains("tools"));
  for (const FieldRule& rule : field_rules(RequestKind::chat)) {
    CHECK(of_chat["properties"].contains(std::string(rule.field)) == (rule.of[0] != Treatment::refused));
  }
}
