#include "cli/core/chat.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet::cli;

TEST_CASE("a conversation contains the answered questions, not the failed ones") {
  Conversation conversation({"m", "be kind", 0.5, 7});
  conversation.ask("one");
  conversation.answered("first");
  conversation.ask("two");
  conversation.unanswered();
  conversation.ask("three");
  const auto request = *parse_document(conversation.request(true));
  CHECK(request["messages"].size() == 4);
  CHECK(request["messages"][0]["role"] == "system");
  CHECK(request["messages"][3]["content"] == "three");
  CHECK(request["max_tokens"] == 7);
  CHECK(request["stream"] == true);
  CHECK_FALSE(parse_document(conversation.request(false))->contains("stream"));
}

TEST_CASE("an answer is read from pieces of any size") {
  const std::string events =
      ": waits\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
      "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n"
      "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: "
      "{\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n"
      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"
      "data: "
      "{\"choices\":[],\"usage\":{\"completion_tokens\":2,\"tokens_per_second\":18.46,\"first_token_ms\":430}}\n\n"
      "data: [DONE]\n\n";
  for (std::size_t size = 1; size < 40; ++size) {
    std::string thought;
    std::string said;
    AnswerReader reader([&](const std::string& text, bool reasoning) { (reasoning ? thought : said) += text; });
    for (std::size_t at = 0; at < events.size(); at += size) reader.feed(events.substr(at, size));
    CHECK((thought == "hm" && said == "Hello" && reader.text() == "Hello"));
    CHECK((reader.done() && reader.error().empty() && reader.finish_reason() == "length"));
    CHECK(show_usage(reader.usage()) == "2 tokens, 18.5 per second, first token after 0.4 s");
  }
}

TEST_CASE("an error in the stream is reported, invalid data is ignored") {
  AnswerReader reader([](const std::string&, bool) {});
  reader.feed("data: {\"error\":{\"message\":\"broke off\"}}\ndata: nonsense\ndata: 5\ndata: {\"choices\":[7]}\n");
  CHECK(reader.error() == "broke off");
  CHECK_FALSE(reader.done());
  CHECK(error_text("{\"error\":{\"message\":\"no\"}}") == "no");
  CHECK(error_text("<html>").empty());
}

TEST_CASE("an answer cannot control the terminal and keeps its line breaks") {
  CHECK(printable_text("a\n\x1b[31mb\n") == "a\n [31mb\n");
  CHECK(printable_text("").empty());
}
