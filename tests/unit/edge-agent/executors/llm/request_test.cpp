#include "edge-agent/executors/llm/request.hpp"

#include <fstream>
#include <sstream>

#include "common/protocol/schema.hpp"
#include "edge-agent/executors/llm/json_value.hpp"
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
  CHECK(*request == chat + "}");
}

TEST_CASE("what is passed to a server stays byte for byte, also what is usually the default") {
  const std::string passed =
      R"("seed":12345678901234567890123,"temperature":0.10000000000000000555,"parallel_tool_calls":false,)"
      R"("cache_prompt":false,"skip_special_tokens":false,"stop":null,"logit_bias":{},"min_p":1e400,)"
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{"z":{},"a":1.50}}}])";
  const auto request =
      check_request(RequestKind::chat, ProviderKind::openai, chat + R"(,"n":1,"user":"u",)" + passed + "}");
  REQUIRE(request);
  CHECK(*request == chat + "," + passed + "}");
}

TEST_CASE("a default is refused if the provider has no such field and another default") {
  for (const ProviderKind provider : {ProviderKind::ollama, ProviderKind::gemini}) {
    CHECK(refusal(provider, R"("parallel_tool_calls":false)").find("parallel_tool_calls") != std::string::npos);
    CHECK(refusal(provider, R"("cache_prompt":false)").find("cache_prompt") != std::string::npos);
    CHECK(refusal(provider, R"("cache_prompt":null)").empty());
  }
}

TEST_CASE("the ids of the calls in a conversation are known") {
  CHECK(call_ids_of(R"({"messages":[{"role":"user"},{"tool_calls":[{"id":"a"},{"id":"b"},5]},{"tool_calls":null}]})") ==
        std::set<std::string>{"", "a", "b"});
}

TEST_CASE("the value of a field that means the same as none is never refused, and goes on where the field is known") {
  for (const RequestKind kind : {RequestKind::chat, RequestKind::generate}) {
    const std::string rest = kind == RequestKind::chat ? chat : R"({"model":"m","prompt":"x")";
    for (const FieldRule& rule : field_rules(kind)) {
      for (std::size_t i = 0; i < providers.size(); ++i) {
        if (rule.by_default.empty() || rest.find("\"" + std::string(rule.field) + "\"") != std::string::npos) continue;
        const std::string field = "\"" + std::string(rule.field) + "\":" + std::string(rule.by_default);
        const bool none_at_all = providers[i] == ProviderKind::groq && kind == RequestKind::generate;
        INFO(to_string(providers[i]) << " " << field);
        const auto request = check_request(kind, providers[i], rest + "," + field + "}");
        CHECK(request.ok() != none_at_all);
        if (request) CHECK((request->find(field) != std::string::npos) == (rule.of.at(i) != Treatment::refused));
      }
    }
  }
  CHECK(refusal(ProviderKind::ollama, R"("modalities":["text"],"parallel_tool_calls":true,"verbosity":"low",)"
                                      R"("prompt_cache_retention":"24h","logprobs":false)")
            .empty());
  CHECK_FALSE(refusal(ProviderKind::ollama, R"("modalities":["text","audio"])").empty());
  CHECK_FALSE(refusal(ProviderKind::ollama, R"("parallel_tool_calls":false)").empty());
}

TEST_CASE("a field that a provider lacks is no mistake of the request: another provider may have it") {
  const auto kind_of = [](ProviderKind provider, const char* field) {
    const auto request = check_request(RequestKind::chat, provider, chat + "," + field + "}");
    return request ? ErrorKind::internal : request.error().kind;
  };
  CHECK(kind_of(ProviderKind::ollama, R"("logprobs":true)") == ErrorKind::unsupported);
  CHECK(kind_of(ProviderKind::groq, R"("grammar":"x")") == ErrorKind::unsupported);
  CHECK(kind_of(ProviderKind::openai, R"("n":2)") == ErrorKind::invalid);
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
      row << (rule.note.empty() ? "" : " ") << rule.note << (rule.note.empty() ? "|" : " |");
      if (!rule.by_default.empty()) row << " `" << rule.by_default << "` ";
      row << "|\n";
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
