#include "coordinator/http/openai/told.hpp"

#include "coordinator/http/openai/wire.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace edgefleet::coordinator::openai;

namespace {

Part part(int attempt, std::uint64_t at, const char* text, bool reasoning = false) {
  return {AgentName{}, attempt, reasoning, at, text};
}

}  // namespace

TEST_CASE("parts are told once, in order; what is lost comes with the result") {
  Told told;
  CHECK(told.hear(part(1, 0, "Hello")) == "Hello");
  CHECK(told.hear(part(1, 0, "Hello")) == "");
  CHECK(told.hear(part(1, 3, "lo wor")) == " wor");
  CHECK(told.hear(part(1, 20, "gap")) == "");
  CHECK(told.hear(part(1, 0, "hm", true)) == "hm");
  CHECK(told.complete(false, "Hello world") == "ld");
  CHECK(told.complete(true, "hm") == "");
}

TEST_CASE("a successor continues what it says too, and nothing else") {
  Told told;
  CHECK(told.hear(part(1, 0, "The room is")) == "The room is");
  CHECK(told.hear(part(2, 0, "The room")) == "");
  CHECK(told.hear(part(1, 11, " cold")) == "");  // the zombie is not heard
  CHECK(told.hear(part(2, 8, " is warm")) == " warm");
  CHECK_FALSE(told.hear(part(3, 0, "The roof")));
}

TEST_CASE("a result that says something else than was told is no end of the answer") {
  Told told;
  CHECK(told.hear(part(1, 0, "yes")) == "yes");
  CHECK_FALSE(told.complete(false, "no"));
  CHECK_FALSE(told.complete(false, "ye"));
}

TEST_CASE("a question keeps for the door what is the door's") {
  const auto question = read_question(
      Endpoint::chat, R"({"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}})");
  REQUIRE(question);
  CHECK((question->stream && question->include_usage));
  CHECK(question->body.size() == 2);
  for (const char* bad : {"", "5", "{}", R"({"model":5})", R"({"model":"m","stream":"yes"})"}) {
    INFO(bad);
    CHECK_FALSE(read_question(Endpoint::chat, bad));
  }
}

TEST_CASE("embeddings are floats or their bytes in base64") {
  TaskRecord record;
  record.output = R"({"model":"m","data":[{"index":0,"embedding":[1.0,-2.5]}]})";
  record.usage = R"({"prompt_tokens":2})";
  const auto question = *read_question(Endpoint::embeddings, R"({"model":"m","input":"x","encoding_format":"base64"})");
  const auto envelope = envelope_of(question, record.id, WallTime{1'700'000'000'000});
  const Json answer = Json::parse(answer_view(envelope, record, question.base64));
  CHECK(answer["data"][0]["embedding"] == "AACAPwAAIMA=");  // base64 of two little-endian floats, by another program
  CHECK(answer["object"] == "list");
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
