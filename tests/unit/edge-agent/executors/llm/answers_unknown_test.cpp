// Bodies of answers in shapes that are not known: passed on, or an error.
#include "edge-agent/executors/llm/answer_reader.hpp"
#include "edge-agent/executors/llm/json_value.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/llm_config.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

struct Read {
  Json choice;
  std::optional<TaskError> error;
};

Read read(const std::string& provider, const std::string& body) {
  Answer answer;
  const auto made = make_provider(config_of(provider));
  AnswerReader reader(*made, RequestKind::chat, provider == "ollama" ? Framing::lines : Framing::events, answer);
  if (reader.feed(body)) reader.finish();
  return {Json::parse(answer.output(RequestKind::chat))["choices"][0], answer.error()};
}

std::string event(const std::string& data) { return "data: " + data + "\n\n"; }
std::string candidate(const std::string& members) { return event(R"({"candidates":[{)" + members + "}]}"); }
std::string part(const std::string& members) { return candidate(R"("content":{"parts":[{)" + members + "}]}"); }

const std::string openai_end = event(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})") + event("[DONE]");
const std::string gemini_end = candidate(R"("content":{"parts":[]},"finishReason":"STOP")");
const std::string ollama_end = "{\"message\":{\"content\":\"\"},\"done\":true}\n";

}  // namespace

TEST_CASE("a shape that is not known fails the answer, although its end is known") {
  struct Row {
    const char* provider;
    std::string body;
  };
  const std::vector<Row> rows = {
      {"openai", event(R"({"choices":{"0":{"delta":{"content":"Hi"}}}})") + openai_end},
      {"openai", event(R"({"choices":"Hi"})") + openai_end},
      {"openai", event(R"({"content":"Hi","stop":false})") + openai_end},
      {"openai", event(R"("Hi")") + openai_end},
      {"openai", event("[]") + openai_end},
      {"openai", event("5") + openai_end},
      {"openai", event(R"({"choices":[{"delta":{"content":[{"type":"text","text":{"value":"Hi"}}]}}]})") + openai_end},
      {"gemini", candidate(R"("content":"Hi","finishReason":"STOP")")},
      {"gemini", candidate(R"("content":[{"text":"Hi"}],"finishReason":"STOP")")},
      {"gemini", event(R"({"candidates":{"content":{"parts":[{"text":"Hi"}]}}})") + gemini_end},
      {"gemini", event(R"({"candidates":["Hi"]})") + gemini_end},
      {"gemini", candidate(R"("content":{"parts":["Hi"]})") + gemini_end},
      {"gemini", part(R"("text":"see","inlineData":{"mimeType":"image/png","data":"AA=="})") + gemini_end},
      {"gemini", part(R"("functionCall":[{"name":"f"}])") + gemini_end},
      {"gemini", part(R"("text":5)") + gemini_end},
      {"gemini", part(R"("functionCall":{"name":"f","willContinue":true})") + gemini_end},
      {"gemini", part(R"("functionCall":{"name":"f","partialArgs":[{"jsonPath":"$.x"}]})") + gemini_end},
      {"gemini", candidate(R"("content":{"parts":[{"text":"Hi"}]},"finishReason":1)")},
      {"ollama", "\"Hi\"\n" + ollama_end},
      {"ollama", "[{\"message\":{\"content\":\"Hi\"}}]\n" + ollama_end},
      {"ollama", "{\"data\":{\"message\":{\"content\":\"Hi\"}}}\n" + ollama_end},
      {"ollama", "{\"message\":{\"content\":\"Hi\"},\"done\":\"true\"}\n"},
      {"ollama", "{\"message\":{\"content\":\"Hi\"},\"logprobs\":5}\n" + ollama_end},
  };
  for (const Row& row : rows) {
    INFO(row.provider << " " << row.body);
    const Read got = read(row.provider, row.body);
    REQUIRE(got.error);
    CHECK(got.error->code == "unsupported_answer");
    CHECK_FALSE(got.error->retryable);
  }
}

TEST_CASE("an error within a choice is an error, whatever its finish reason") {
  const Read got = read("openai", event(R"({"choices":[{"delta":{"content":""},"error":{"message":"boom","code":502},)"
                                        R"("finish_reason":"stop"}]})") +
                                      openai_end);
  REQUIRE(got.error);
  CHECK(got.error->code == "backend_unavailable");
  CHECK(got.error->message.find("boom") != std::string::npos);
}

TEST_CASE("an error within a choice that says nothing is none") {
  const Read got = read("openai", event(R"({"choices":[{"delta":{"content":"Hi"},"error":{"code":0}}]})") + openai_end);
  CHECK_FALSE(got.error);
  CHECK_FALSE(got.choice.contains("error"));
}

TEST_CASE("one choice is the answer, and another one is an error: its text is not that of the first one") {
  const auto openai = [](const std::string& choices) { return event(R"({"choices":[)" + choices + "]}"); };
  const auto gemini = [](const std::string& choices) { return event(R"({"candidates":[)" + choices + "]}"); };
  const auto of = [](const std::string& index, const std::string& text) {
    return "{" + index + R"("delta":{"content":")" + text + R"("},"content":{"parts":[{"text":")" + text + R"("}]}})";
  };
  const std::string first = R"("index":0,)", second = R"("index":1,)", none;
  const std::string second_end = R"({"index":1,"delta":{},"finish_reason":"stop","finishReason":"STOP"})";
  const auto text = [](const Read& got) { return got.choice["message"]["content"]; };
  for (const std::string& body : {openai(of(first, "a")) + openai(of(second, "b")) + openai_end,
                                  openai(of(none, "a") + "," + of(none, "b")) + openai_end,
                                  openai(of(second, "b") + "," + of(first, "a")) + openai_end}) {
    INFO(body);
    const Read got = read("openai", body);
    REQUIRE(got.error);
    CHECK(got.error->code == "unsupported_answer");
    CHECK(got.error->message.find("more than one choice") != std::string::npos);
  }
  CHECK(read("gemini", gemini(of(none, "a") + "," + of(second, "b")) + gemini_end).error);
  CHECK(read("gemini", gemini(of(second, "b")) + gemini(of(first, "a")) + gemini_end).error);

  const Read twice = read("openai", openai(of(first, "a") + "," + of(first, "b")) + openai_end);
  CHECK_FALSE(twice.error);
  CHECK(text(twice) == "ab");
  const Read another = read("openai", openai(of(second, "b")) + openai(second_end));
  CHECK_FALSE(another.error);
  CHECK(text(another) == "b");
  const Read of_gemini = read("gemini", gemini(of(second, "b")) + gemini(second_end));
  CHECK_FALSE(of_gemini.error);
  CHECK(text(of_gemini) == "b");
}

TEST_CASE("pieces without a part of the answer do no harm beside an answer, or beside one that says nothing") {
  const std::string hi = event(R"({"choices":[{"delta":{"content":"Hi"}}]})");
  CHECK_FALSE(read("openai", event(R"({"note":"x"})") + hi + openai_end).error);
  CHECK_FALSE(read("openai", hi + openai_end + event(R"("ok")")).error);
  for (const char* piece : {"{}", R"({"type":"ping"})", R"({"choices":null,"usage":{"prompt_tokens":1}})",
                            R"({"choices":[],"prompt_filter_results":[]})"}) {
    INFO(piece);
    CHECK_FALSE(read("openai", event(piece) + openai_end).error);
  }
  CHECK_FALSE(read("gemini", event(R"({"usageMetadata":{"promptTokenCount":4}})") + gemini_end).error);
  CHECK_FALSE(read("ollama", ollama_end).error);
}

TEST_CASE("what is beside the choices of an answer is kept, byte for byte, and counts against its bound") {
  const std::string hi = R"("choices":[{"delta":{"content":"Hi"}}])";
  const auto made = make_provider(config_of("openai"));
  Answer answer;
  AnswerReader reader(*made, RequestKind::chat, Framing::events, answer);
  CHECK(reader.feed(event(R"({"type":"ping","at":1})")));
  CHECK(reader.feed(event(R"({"id":"x","object":"o","created":1,"citations":["a"],"error":false,)" + hi + "}")));
  CHECK(reader.feed(event(R"({"citations":["a",1.50],"service_tier":null,)" + hi + "}")));
  CHECK(reader.feed(openai_end));
  CHECK(answer.output(RequestKind::chat).ends_with(R"(}],"citations":["a",1.50]})"));
  // It is no part of the answer itself: without one, the answer is incomplete.
  const Read nothing = read("openai", event(R"({"choices":[],"citations":["a"]})") + event("[DONE]"));
  REQUIRE(nothing.error);
  CHECK(nothing.error->code == "backend_unavailable");

  Answer flooded;
  AnswerReader flood(*made, RequestKind::chat, Framing::events, flooded);
  int pieces = 0;
  while (pieces < 300 && flood.feed(event(R"({"n)" + std::to_string(pieces) + R"(":")" + std::string(1024, 'x') +
                                          R"(","choices":[]})"))) {
    ++pieces;
  }
  REQUIRE(flooded.error());
  CHECK(flooded.error()->code == "output_too_large");
}

TEST_CASE("what is beside the answer of Ollama or Gemini is kept as well, except what the answer is made of") {
  const auto output = [](const std::string& provider, const std::string& body, RequestKind kind) {
    Answer answer;
    const auto made = make_provider(config_of(provider));
    const Framing streamed = provider == "ollama" ? Framing::lines : Framing::events;
    AnswerReader reader(*made, kind, kind == RequestKind::embed ? Framing::whole : streamed, answer);
    CHECK(reader.feed(body));
    reader.finish();
    CHECK_FALSE(answer.error());
    return answer.output(kind);
  };
  CHECK(
      output("ollama",
             R"({"model":"m","created_at":"x","message":{"content":"Hi"},"done":false,"remote_host":"h","choices":[],)"
             R"("id":"x","object":"o","created":1,"usage":{},"error":{}})"
             "\n"
             R"({"message":{"content":""},"done":true,"done_reason":"stop","total_duration":1,"load_duration":1,)"
             R"("prompt_eval_count":1,"prompt_eval_duration":1,"eval_count":1,"eval_duration":1,"cite":[1.50]})",
             RequestKind::chat)
          .ends_with(R"(}],"remote_host":"h","cite":[1.50]})"));
  CHECK(output("ollama", R"({"response":"Hi","done":true,"context":[1,2],"cite":1})", RequestKind::generate)
            .ends_with(R"(}],"cite":1})"));
  CHECK(
      output("ollama", R"({"embeddings":[[1]],"data":[],"cite":1})", RequestKind::embed).ends_with(R"(}],"cite":1})"));
  CHECK(output("gemini",
               event(R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"responseId":"x",)"
                     R"("modelVersion":"m","usageMetadata":{},"createTime":"x","promptFeedback":{},"choices":[],)"
                     R"("cite":{"a":1.50}})"),
               RequestKind::chat)
            .ends_with(R"(}],"cite":{"a":1.50}})"));
  CHECK(
      output("gemini", R"({"embeddings":[{"values":[1]}],"cite":1})", RequestKind::embed).ends_with(R"(}],"cite":1})"));
}

TEST_CASE("the fields beside a vector are kept") {
  Answer answer;
  const auto made = make_provider(config_of("openai"));
  AnswerReader reader(*made, RequestKind::embed, Framing::whole, answer);
  CHECK(reader.feed(R"({"object":"list","data":[{"embedding":[1]}],"usage":{"prompt_tokens":1},"tier":"x"})"));
  reader.finish();
  CHECK(answer.output(RequestKind::embed).ends_with(R"(}],"tier":"x"})"));
}

TEST_CASE("what is beside the text of an answer is kept") {
  const Read both = read("gemini", part(R"("text":"Hi","functionCall":{"name":"f"})") + gemini_end);
  CHECK_FALSE(both.error);
  CHECK(both.choice["message"]["content"] == "Hi");
  CHECK(both.choice["message"]["tool_calls"].size() == 1);
  const Read sources = read(
      "gemini", candidate(R"("content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP","safetyRatings":[1],)"
                          R"("groundingMetadata":{"webSearchQueries":["x"]},"citationMetadata":{"citations":[1]})"));
  CHECK_FALSE(sources.error);
  CHECK(sources.choice["groundingMetadata"]["webSearchQueries"][0] == "x");
  CHECK(sources.choice["citationMetadata"]["citations"][0] == 1);
  CHECK_FALSE(sources.choice.contains("safetyRatings"));
  const std::string line = R"({"message":{"content":"Hi"},"logprobs":[{"token":"Hi","logprob":-1}]})";
  const Read sure = read("ollama", line + "\n" + line + "\n" + ollama_end);
  CHECK_FALSE(sure.error);
  CHECK(sure.choice["logprobs"]["content"].size() == 2);
}
