#include "coordinator/http/openai/wire.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet::coordinator::openai;

TEST_CASE("a model alone looks as it does in the list") {
  const Json list = Json::parse(models_view({{"openai/gpt-oss-20b", "groq"}, {"tiny", "ollama"}}, 7));
  CHECK(list["object"] == "list");
  CHECK(Json::parse(model_view({"tiny", "ollama"}, 7)) == list["data"][1]);
  CHECK(list["data"][0] ==
        Json{{"id", "openai/gpt-oss-20b"}, {"object", "model"}, {"created", 7}, {"owned_by", "groq"}});
}

TEST_CASE("embeddings have counts, though the back end may tell none") {
  edgefleet::coordinator::TaskRecord record;
  record.output = R"({"data":[{"index":0,"embedding":[1,2]}]})";
  const Envelope envelope{Endpoint::embeddings, "x", 7, "m"};
  CHECK(Json::parse(answer_view(envelope, record, false))["usage"]["prompt_tokens"] == 0);
  record.usage = R"({"prompt_tokens":3,"total_tokens":3})";
  CHECK(Json::parse(answer_view(envelope, record, false))["usage"]["prompt_tokens"] == 3);
}

TEST_CASE("a comment is one line") {
  CHECK(comment_event("1 agent offers llm.chat\r\ndata: x") == ": 1 agent offers llm.chat  data: x\n\n");
}
