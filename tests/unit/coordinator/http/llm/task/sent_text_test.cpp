#include "coordinator/http/llm/task/sent_text.hpp"

#include "coordinator/http/llm/dialects/bounds.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace edgefleet::coordinator::llm;

namespace {

Part part(int attempt, std::uint64_t at, const std::string& text, Channel channel = Channel::content) {
  return {AgentName{}, attempt, channel, at, text};
}

}  // namespace

TEST_CASE("parts are sent once, in order; lost parts come with the result") {
  SentText sent;
  CHECK(sent.add(part(1, 0, "Hello")) == "Hello");
  CHECK(sent.add(part(1, 0, "Hello")) == "");
  CHECK(sent.add(part(1, 3, "lo wor")) == " wor");
  CHECK(sent.add(part(1, 20, "gap")) == "");
  CHECK(sent.add(part(1, 0, "hm", Channel::reasoning)) == "hm");
  CHECK(sent.complete(Channel::content, "Hello world") == "ld");
  CHECK(sent.complete(Channel::reasoning, "hm") == "");
}

TEST_CASE("another attempt continues only if its text is the same") {
  SentText sent;
  CHECK(sent.add(part(1, 0, "The room is")) == "The room is");
  CHECK(sent.add(part(2, 0, "The room")) == "");
  CHECK(sent.add(part(1, 11, " cold")) == "");  // of an attempt that has been replaced
  CHECK(sent.add(part(2, 8, " is warm")) == " warm");
  CHECK_FALSE(sent.add(part(3, 0, "The roof")));
}

TEST_CASE("a result that differs from the sent text does not complete the answer") {
  SentText sent;
  CHECK(sent.add(part(1, 0, "yes")) == "yes");
  CHECK_FALSE(sent.complete(Channel::content, "no"));
  CHECK_FALSE(sent.complete(Channel::content, "ye"));
}

TEST_CASE("a stream without end takes a bounded part of the memory; the rest comes with the result") {
  SentText sent;
  const std::string piece(1 << 20, 'x');
  std::size_t bytes = 0;
  for (std::uint64_t at = 0; at < 2 * most_streamed_bytes; at += piece.size()) {
    bytes += sent.add(part(1, at, piece)).value_or("").size();
  }
  CHECK(bytes == most_streamed_bytes);
  CHECK(sent.complete(Channel::content, std::string(most_streamed_bytes, 'x') + "end") == "end");
}
