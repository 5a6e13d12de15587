#include <array>

#include "coordinator/http/llm/dialects/openai.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace edgefleet::coordinator::llm;

namespace {

const TaskId task{Ulid{1, 1}};

Asked asked(const Dialect& dialect, const std::string& body) {
  auto read = dialect.read(body);
  REQUIRE(read);
  read->writer->identify(task, WallTime{1'700'000'000'000});
  return std::move(*read);
}

Json json_of(const std::string& event) {
  REQUIRE(event.starts_with("data: "));
  REQUIRE(event.ends_with("\n\n"));
  return Json::parse(event.substr(6));
}

TaskRecord record_of(const char* output, const char* usage = "") {
  TaskRecord record;
  record.id = task;
  record.output = output;
  record.usage = usage;
  return record;
}

}  // namespace

TEST_CASE("a single model has the same view as in the list") {
  const Json list = Json::parse(openai::models_view({{"openai/gpt-oss-20b", "groq"}, {"tiny", "ollama"}}, 7));
  CHECK(list["object"] == "list");
  CHECK(Json::parse(openai::model_view({"tiny", "ollama"}, 7)) == list["data"][1]);
  CHECK(list["data"][0] ==
        Json{{"id", "openai/gpt-oss-20b"}, {"object", "model"}, {"created", 7}, {"owned_by", "groq"}});
}

TEST_CASE("the input of a question is the request without the members for the endpoint, byte for byte") {
  const std::string rest = R"("seed":12345678901234567890123,"tools":[{"z":1,"a":1e400}],"parallel_tool_calls": false)";
  const auto read = chat_completions.read(
      R"({"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true},"encoding_format":"float",)" +
      rest + "}");
  REQUIRE(read);
  CHECK(read->question.stream);
  CHECK(read->question.capability.str() == "llm.chat");
  CHECK(read->question.input == R"({"model":"m","messages":[],"seed":12345678901234567890123,)"
                                R"("tools":[{"z":1,"a":1e400}],"parallel_tool_calls":false})");
}

TEST_CASE("every dialect refuses an invalid request") {
  for (const Dialect* dialect : {&chat_completions, &completions, &embeddings}) {
    for (const char* bad : {"", "5", "{}", R"({"model":5})", R"({"model":""})", R"({"model":"m","stream":"yes"})",
                            R"({"model":"m","encoding_format":"hex"})"}) {
      INFO(bad);
      CHECK_FALSE(dialect->read(bad));
    }
  }
}

TEST_CASE("an answer has the same id, time and model in each of its pieces") {
  const auto chat = asked(chat_completions, R"({"model":"m","messages":[],"stream_options":{"include_usage":true}})");
  const auto record =
      record_of(R"({"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]})", R"({"total_tokens":3})");
  const Json first = json_of(chat.writer->begin());
  CHECK(first["choices"][0]["delta"]["role"] == "assistant");
  const Json text = json_of(chat.writer->text("Hi", false));
  CHECK(text["choices"][0]["delta"]["content"] == "Hi");
  CHECK(json_of(chat.writer->text("hm", true))["choices"][0]["delta"]["reasoning_content"] == "hm");
  const std::string end = chat.writer->end(record, Json::parse(record.output));
  CHECK(end.ends_with("data: [DONE]\n\n"));
  CHECK(end.find(R"("finish_reason":"stop")") != std::string::npos);
  CHECK(end.find(R"("usage":{"total_tokens":3})") != std::string::npos);
  for (const char* field : {"id", "created", "model"}) CHECK(first[field] == text[field]);
  CHECK(first["id"] == "chatcmpl-" + task.str());
  CHECK(first["created"] == 1'700'000'000);
}

TEST_CASE("tool calls of a stream have their index") {
  const auto chat = asked(chat_completions, R"({"model":"m","messages":[]})");
  const auto record = record_of(R"({"choices":[{"message":{"tool_calls":[{"id":"a"},{"id":"b"}]}}]})");
  const std::string end = chat.writer->end(record, Json::parse(record.output));
  const Json calls = json_of(end.substr(0, end.find("\n\n") + 2))["choices"][0]["delta"]["tool_calls"];
  REQUIRE(calls.size() == 2);
  CHECK(calls[1]["index"] == 1);
  CHECK(calls[1]["id"] == "b");
}

TEST_CASE("a completion is text, whole and in pieces") {
  const auto one = asked(completions, R"({"model":"m","prompt":"x"})");
  CHECK(one.question.capability.str() == "llm.generate");
  CHECK(json_of(one.writer->text("Hi", false))["choices"][0]["text"] == "Hi");
  const auto record = record_of(R"({"choices":[{"text":"Hi","finish_reason":"length"}]})");
  const Json whole = Json::parse(one.writer->whole(record));
  CHECK(whole["object"] == "text_completion");
  CHECK(whole["choices"][0]["finish_reason"] == "length");
  CHECK(one.writer->text_of(Json::parse(record.output), false) == "Hi");
}

TEST_CASE("embeddings are floats or their bytes in base64, and never a stream") {
  const auto record = record_of(R"({"model":"m","data":[{"index":0,"embedding":[1.0,-2.5]}]})");
  const auto coded = asked(embeddings, R"({"model":"m","input":"x","encoding_format":"base64","stream":true})");
  CHECK_FALSE(coded.question.stream);
  const Json answer = Json::parse(coded.writer->whole(record));
  CHECK(answer["data"][0]["embedding"] == "AACAPwAAIMA=");  // base64 of two little-endian floats, by another program
  CHECK(answer["object"] == "list");
  const auto plain = asked(embeddings, R"({"model":"m","input":"x"})");
  CHECK(Json::parse(plain.writer->whole(record))["data"][0]["embedding"][1] == -2.5);
}

TEST_CASE("embeddings have counts even if the back end reports none") {
  const auto plain = asked(embeddings, R"({"model":"m","input":"x"})");
  const char* output = R"({"data":[{"index":0,"embedding":[1,2]}]})";
  CHECK(Json::parse(plain.writer->whole(record_of(output)))["usage"]["prompt_tokens"] == 0);
  const auto counted = record_of(output, R"({"prompt_tokens":3,"total_tokens":3})");
  CHECK(Json::parse(plain.writer->whole(counted))["usage"]["prompt_tokens"] == 3);
}

TEST_CASE("a comment is one line") {
  const auto one = asked(completions, R"({"model":"m","prompt":"x"})");
  CHECK(one.writer->comment("1 agent offers llm.chat\r\ndata: x") == ": 1 agent offers llm.chat  data: x\n\n");
}

TEST_CASE("a failed task becomes an error that OpenAI's clients understand") {
  TaskRecord record;
  record.state = TaskState::failed;
  record.error = TaskError{"context_too_long", "too long", false, {}};
  CHECK(failure_of(record).status == 400);
  CHECK(failure_of(record).code == "context_length_exceeded");
  record.error = TaskError{"rate_limited", "wait", true, {}};
  CHECK(failure_of(record).status == 429);
  record.error = TaskError{"something_else", "x", true, {}};
  CHECK(failure_of(record).status == 502);
}

TEST_CASE("only errors below /v1 have OpenAI's shape") {
  for (const char* path : {"/v1", "/v1/x", "/openai/v1/models"}) CHECK(has_openai_shape(path));
  for (const char* path : {"/", "/v1x", "/api/v1/tasks", "/openai/v2", ""}) CHECK_FALSE(has_openai_shape(path));
}

TEST_CASE("an output of a strange shape throws nowhere") {
  for (const char* output :
       {"null", "[]", "5", R"({"choices":5})", R"({"choices":[5]})", R"({"choices":[{"message":[]}]})",
        R"({"choices":[{"message":{"tool_calls":5}}]})", R"({"data":5})", R"({"data":[5]})",
        R"({"choices":[{"message":{"tool_calls":[5,null,{"id":"a"}],"content":{}}}]})"}) {
    INFO(output);
    const auto record = record_of(output, "[]");
    for (const Dialect* dialect : {&chat_completions, &completions, &embeddings}) {
      const auto read = asked(*dialect, R"({"model":"m","messages":[],"stream_options":{"include_usage":true}})");
      const Json json = Json::parse(output);
      CHECK_FALSE(read.writer->whole(record).empty());
      (void)read.writer->end(record, json);
      for (const bool reasoning : {true, false}) (void)read.writer->text_of(json, reasoning);
    }
  }
}
