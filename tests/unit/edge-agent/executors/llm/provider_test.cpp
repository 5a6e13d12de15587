// Each provider's encoding of requests and decoding of answers, in the formats of the vendors' documentation.
#include "edge-agent/executors/llm/provider.hpp"

#include "edge-agent/executors/llm/request.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/llm_config.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

struct Asked {
  BackendRequest call;
  Json body;
};
Asked ask(const std::string& provider, const std::string& input, RequestKind kind = RequestKind::chat) {
  const Config config = config_of(provider);
  const auto request = check_request(kind, config.provider, input);
  REQUIRE(request);
  auto call = make_provider(config)->encode(kind, *request);
  REQUIRE(call);
  return {*call, Json::parse(call->body)};
}

std::string encoded(const std::string& provider, const std::string& input) {
  const Config config = config_of(provider);
  const auto request = check_request(RequestKind::chat, config.provider, input);
  REQUIRE(request);
  const auto call = make_provider(config)->encode(RequestKind::chat, *request);
  REQUIRE(call);
  return call->body;
}

std::string refused(const std::string& provider, const std::string& input) {
  const Config config = config_of(provider);
  const auto request = check_request(RequestKind::chat, config.provider, input);
  REQUIRE(request);
  const auto call = make_provider(config)->encode(RequestKind::chat, *request);
  return call ? "" : call.error().message;
}

Answer hear(const std::string& provider, std::initializer_list<const char*> pieces,
            RequestKind kind = RequestKind::chat) {
  Answer answer;
  const auto made = make_provider(config_of(provider));
  for (const char* piece : pieces) made->decode(kind, piece, answer);
  return answer;
}

const std::string tools =
    R"({"model":"m","messages":[{"role":"system","content":"be kind"},{"role":"user","content":[{"type":"text",)"
    R"("text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}}]},{"role":"assistant",)"
    R"("content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"heat","arguments":)"
    R"("{\"room\":\"attic\"}"}}]},{"role":"tool","tool_call_id":"c1","content":"21"}],"max_completion_tokens":7,)"
    R"("stop":"END","temperature":0.5,"tools":[{"type":"function","function":{"name":"heat","parameters":)"
    R"({"type":"object"}}}]})";

}  // namespace

TEST_CASE("a request in OpenAI's format is passed on unchanged, and always streamed") {
  const auto asked = ask("openai", tools);
  CHECK(asked.call.path == "/v1/chat/completions");
  CHECK(asked.body["messages"] == Json::parse(tools)["messages"]);
  CHECK(asked.body["max_tokens"] == 7);
  CHECK(asked.body["stream"] == true);
  CHECK(asked.body["stream_options"]["include_usage"] == true);
  CHECK(ask("groq", tools).body["max_completion_tokens"] == 7);
}

TEST_CASE("OpenAI's stream becomes an answer") {
  const Answer answer =
      hear("openai",
           {R"({"model":"m-1","choices":[{"delta":{"role":"assistant","content":null}}]})",
            R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})", R"({"choices":[{"delta":{"content":"Hel"}}]})",
            R"({"choices":[{"delta":{"content":"lo"}}]})", R"({"choices":[{"delta":{},"finish_reason":"length"}]})",
            R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})"});
  const Json output = Json::parse(answer.output(RequestKind::chat));
  CHECK(output["model"] == "m-1");
  CHECK(output["choices"][0]["message"]["content"] == "Hello");
  CHECK(output["choices"][0]["message"]["reasoning_content"] == "hm");
  CHECK(output["choices"][0]["finish_reason"] == "length");
  CHECK(answer.complete());
  CHECK(answer.usage->completion_tokens == 2);
}

TEST_CASE("the pieces of a tool call are joined") {
  const Answer answer = hear(
      "openai",
      {R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"heat","arguments":""}}]}}]})",
       R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"room\":"}}]}}]})",
       R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]})"});
  const Json message = Json::parse(answer.output(RequestKind::chat))["choices"][0]["message"];
  CHECK(message["content"].is_null());
  CHECK(message["tool_calls"][0]["id"] == "c1");
  CHECK(message["tool_calls"][0]["function"]["name"] == "heat");
  CHECK(message["tool_calls"][0]["function"]["arguments"] == R"({"room":1})");
}

TEST_CASE("a request to Ollama has its own format, with a large enough context") {
  const auto asked = ask("ollama", tools);
  CHECK(asked.call.path == "/api/chat");
  CHECK(asked.call.framing == Framing::lines);
  CHECK(asked.body["options"]["num_ctx"] == 100);
  CHECK(asked.body["options"]["num_predict"] == 7);
  CHECK(asked.body["options"]["stop"] == Json::array({"END"}));
  const Json& messages = asked.body["messages"];
  CHECK(messages[1]["content"] == "look");
  CHECK(messages[1]["images"][0] == "QUJD");
  CHECK(messages[2]["tool_calls"][0]["function"]["arguments"]["room"] == "attic");
  CHECK(messages[3]["tool_name"] == "heat");
}

TEST_CASE("what is mapped keeps the order of keys and the digits of numbers") {
  const std::string schema = R"({"type":"object","properties":{"z":{"maximum":12345678901234567890123},"a":{}}})";
  const std::string input =
      R"({"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","tool_calls":[{"id":"c",)"
      R"("function":{"name":"f","arguments":"{\"z\":1.50,\"a\":1e400}"}}]},{"role":"tool","tool_call_id":"c",)"
      R"("content":"{\"z\":1.50,\"a\":2}"}],"seed":12345678901234567890123,"temperature":0.10000000000000000555,)"
      R"("tools":[{"type":"function","function":{"name":"f","parameters":)" +
      schema + R"(}}],"response_format":{"type":"json_schema","json_schema":{"schema":)" + schema + "}}}";
  for (const char* provider : {"openai", "groq", "ollama", "gemini"}) {
    INFO(provider);
    const auto body = encoded(provider, input);
    const auto times = [&](const std::string& part) {
      std::size_t count = 0;
      for (auto at = body.find(part); at != std::string::npos; at = body.find(part, at + 1)) ++count;
      return count;
    };
    CHECK(times(schema) == 2);
    CHECK(times(R"("seed":12345678901234567890123)") == 1);
    CHECK(times("0.10000000000000000555") == 1);
    const bool text = std::string_view(provider) == "openai" || std::string_view(provider) == "groq";
    CHECK(times(text ? R"({\"z\":1.50,\"a\":1e400})" : R"({"z":1.50,"a":1e400})") == 1);
    if (std::string_view(provider) == "gemini") CHECK(times(R"({"z":1.50,"a":2})") == 1);
  }
}

TEST_CASE("calls without arguments, and ids that repeat in later turns, come back in a history") {
  const auto turn = [](const char* name, const char* arguments, const char* content) {
    return R"({"role":"assistant","content":"","tool_calls":[{"id":"call_0","function":{"name":")" + std::string(name) +
           "\"" + arguments + R"(}}]},{"role":"tool","tool_call_id":"call_0","content":)" + content + "}";
  };
  const std::string input =
      R"({"model":"m","messages":[{"role":"user","content":"x"},)" +
      turn("first", R"(,"arguments":null)", R"([{"type":"text","text":"2"},{"type":"text","text":"1"}])") + "," +
      turn("second", R"(,"arguments":"")", R"("22")") + "," + turn("third", "", R"("23")") + "]}";
  const Json ollama = ask("ollama", input).body["messages"];
  const Json gemini = ask("gemini", input).body["contents"];
  REQUIRE(ollama.size() == 7);
  REQUIRE(gemini.size() == 7);
  const std::vector<const char*> names = {"first", "second", "third"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    CHECK(ollama[2 * i + 1]["tool_calls"][0]["function"]["arguments"] == Json::object());
    CHECK(ollama[2 * i + 2]["tool_name"] == names[i]);
    REQUIRE(gemini[2 * i + 1]["parts"].size() == 1);
    CHECK(gemini[2 * i + 1]["parts"][0]["functionCall"]["args"] == Json::object());
    CHECK(gemini[2 * i + 2]["parts"][0]["functionResponse"]["name"] == names[i]);
  }
  CHECK(ollama[2]["content"] == "21");
  CHECK(gemini[2]["parts"][0]["functionResponse"]["response"]["result"] == "21");
}

TEST_CASE("Gemini gets the results of calls in their order, and its signatures back") {
  const auto contents = ask("gemini", R"({"model":"m","messages":[{"role":"user","content":"?"},{"role":"assistant",)"
                                      R"("content":"so","extra_content":{"google":{"thought_signature":"c29"}},)"
                                      R"("tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"},)"
                                      R"("extra_content":{"google":{"thought_signature":"c2ln"}}},)"
                                      R"({"id":"b","function":{"name":"f","arguments":"{}"}}]},)"
                                      R"({"role":"tool","tool_call_id":"b","content":"2"},)"
                                      R"({"role":"tool","tool_call_id":"a","content":"1"}]})")
                            .body["contents"];
  CHECK(contents[1]["parts"][0] == Json{{"text", "so"}, {"thoughtSignature", "c29"}});
  CHECK(contents[1]["parts"][1]["thoughtSignature"] == "c2ln");
  CHECK_FALSE(contents[1]["parts"][2].contains("thoughtSignature"));
  CHECK(contents[2]["parts"][0]["functionResponse"]["response"]["result"] == "1");
  CHECK(contents[2]["parts"][1]["functionResponse"]["response"]["result"] == "2");
  // The place where an answer has them.
  const Answer answer = hear("gemini", {R"({"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}},)"
                                        R"("thoughtSignature":"c2ln"}]},"finishReason":"STOP"}]})"});
  const Json call = Json::parse(answer.output(RequestKind::chat))["choices"][0]["message"]["tool_calls"][0];
  CHECK(call["extra_content"]["google"]["thought_signature"] == "c2ln");
}

TEST_CASE("a limit has one name, and the older one has precedence") {
  const std::string input = R"({"model":"m","messages":[{"role":"user","content":"x"}],"max_completion_tokens":7)";
  for (const char* provider : {"openai", "ollama", "gemini"}) {
    for (const auto& [more, limit] :
         {std::pair(R"(,"max_tokens":3})", "3"), std::pair(R"(,"max_tokens":null})", "7"), std::pair("}", "7")}) {
      const auto body = encoded(provider, input + more);
      INFO(body);
      CHECK(body.find("max_completion_tokens") == std::string::npos);
      const bool has = body.find(std::string("ax_tokens\":") + limit) != std::string::npos ||
                       body.find(std::string("num_predict\":") + limit) != std::string::npos ||
                       body.find(std::string("maxOutputTokens\":") + limit) != std::string::npos;
      CHECK(has);
    }
  }
}

TEST_CASE("Ollama's lines become an answer with its own times") {
  const Answer answer = hear("ollama", {R"({"model":"m","message":{"role":"assistant","thinking":"hm","content":""}})",
                                        R"({"message":{"content":"Hi"},"done":false})",
                                        R"({"message":{"content":""},"done":true,"done_reason":"stop",)"
                                        R"("load_duration":2000000,"prompt_eval_count":4,"eval_count":5})"});
  CHECK(answer.complete());
  CHECK_FALSE(answer.error());
  CHECK(answer.usage->load_ms == 2.0);
  CHECK(answer.usage->prompt_tokens == 4);
  const Json message = Json::parse(answer.output(RequestKind::chat))["choices"][0]["message"];
  CHECK(message["content"] == "Hi");
  CHECK(message["reasoning_content"] == "hm");
}

TEST_CASE("a prompt that Ollama has truncated to its context is an error, not an answer") {
  const Answer answer = hear("ollama", {R"({"message":{"content":"x"},"done":true,"prompt_eval_count":100})"});
  REQUIRE(answer.error());
  CHECK(answer.error()->code == "context_too_long");
  CHECK_FALSE(answer.error()->retryable);
}

TEST_CASE("Ollama must not truncate a prompt that does not fit, nor discard the question") {
  const std::string prompt = R"({"model":"m","prompt":"x"})";
  for (const auto& asked : {ask("ollama", tools), ask("ollama", prompt, RequestKind::generate)}) {
    CHECK(asked.body["truncate"] == false);
    CHECK(asked.body["shift"] == false);
  }
  CHECK(ask("ollama", R"({"model":"m","input":"x"})", RequestKind::embed).body["truncate"] == false);
}

TEST_CASE("the results of a turn's calls are one turn for Gemini") {
  const auto contents =
      ask("gemini", R"({"model":"m","messages":[{"role":"user","content":"?"},{"role":"assistant","content":null,)"
                    R"("tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":)"
                    R"({"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"},)"
                    R"({"role":"tool","tool_call_id":"b","content":"2"},{"role":"user","content":"!"}]})")
          .body["contents"];
  REQUIRE(contents.size() == 4);
  CHECK(contents[1]["parts"].size() == 2);
  CHECK(contents[2]["parts"][0]["functionResponse"]["name"] == "f");
  CHECK(contents[2]["parts"][1]["functionResponse"]["name"] == "g");
  CHECK(contents[3]["parts"][0]["text"] == "!");
}

TEST_CASE("a request to Gemini has its own format") {
  const auto asked = ask("gemini", tools);
  CHECK(asked.call.path == "/v1beta/models/m:streamGenerateContent?alt=sse");
  CHECK(asked.body["systemInstruction"]["parts"][0]["text"] == "be kind");
  CHECK(asked.body["generationConfig"]["maxOutputTokens"] == 7);
  const Json& contents = asked.body["contents"];
  CHECK(contents[0]["parts"][1]["inlineData"]["data"] == "QUJD");
  CHECK(contents[1]["role"] == "model");
  CHECK(contents[1]["parts"][0]["functionCall"]["args"]["room"] == "attic");
  CHECK(contents[2]["parts"][0]["functionResponse"]["name"] == "heat");
  CHECK(refused("gemini", R"({"model":"../x","messages":[{"role":"user","content":"x"}]})").find("model") !=
        std::string::npos);
}

TEST_CASE("Gemini's events become an answer, also if it refuses the content") {
  const Answer answer =
      hear("gemini", {R"({"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"Hi"}]}}]})",
                      R"({"candidates":[{"content":{"parts":[]},"finishReason":"MAX_TOKENS"}],"usageMetadata":)"
                      R"({"promptTokenCount":3,"candidatesTokenCount":2,"thoughtsTokenCount":4}})"});
  CHECK(answer.complete());
  CHECK(answer.finish_reason() == "length");
  CHECK(answer.usage->completion_tokens == 6);
  CHECK(hear("gemini", {R"({"promptFeedback":{"blockReason":"SAFETY"}})"}).finish_reason() == "content_filter");
}

TEST_CASE("invalid data of a back end is ignored") {
  for (const char* provider : {"openai", "groq", "ollama", "gemini"}) {
    for (const char* nonsense :
         {"null", "5", "[]", "{}", R"({"choices":5,"message":[],"candidates":{"content":1},"usage":[],"done":"yes"})",
          R"({"choices":[{"delta":{"tool_calls":[5,{"index":"x"}]},"finish_reason":7}]})"}) {
      INFO(provider << " " << nonsense);
      const Answer answer = hear(provider, {nonsense});
      CHECK_FALSE(answer.complete());
    }
  }
}

TEST_CASE("embeddings of every provider have one shape") {
  CHECK(ask("ollama", R"({"model":"m","input":"x"})", RequestKind::embed).call.path == "/api/embed");
  const Answer ollama = hear("ollama", {R"({"embeddings":[[1,2],[3,4]],"prompt_eval_count":2})"}, RequestKind::embed);
  const Answer openai =
      hear("openai", {R"({"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":[3,4]}],"usage":{}})"},
           RequestKind::embed);
  const Answer gemini = hear("gemini", {R"({"embeddings":[{"values":[1,2]},{"values":[3,4]}]})"}, RequestKind::embed);
  for (const char* provider : {"ollama", "openai", "gemini"}) {
    CHECK(hear(provider, {R"({"embeddings":[],"data":[]})"}, RequestKind::embed).error());  // never an empty success
  }
  for (const Answer* answer : {&ollama, &openai, &gemini}) {
    const Json output = Json::parse(answer->output(RequestKind::embed));
    CHECK(output["data"][1]["embedding"] == Json::array({3, 4}));
    CHECK(answer->complete());
  }
}
