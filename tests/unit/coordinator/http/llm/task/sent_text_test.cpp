#include "coordinator/http/llm/task/sent_text.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace edgefleet::coordinator::llm;

namespace {

Part part(int attempt, std::uint64_t at, const char* text, bool reasoning = false) {
  return {AgentName{}, attempt, reasoning, at, text};
}

}  // namespace

TEST_CASE("parts are sent once, in order; lost parts come with the result") {
  SentText sent;
  CHECK(sent.add(part(1, 0, "Hello")) == "Hello");
  CHECK(sent.add(part(1, 0, "Hello")) == "");
  CHECK(sent.add(part(1, 3, "lo wor")) == " wor");
  CHECK(sent.add(part(1, 20, "gap")) == "");
  CHECK(sent.add(part(1, 0, "hm", true)) == "hm");
  CHECK(sent.complete(false, "Hello world") == "ld");
  CHECK(sent.complete(true, "hm") == "");
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
  CHECK_FALSE(sent.complete(false, "no"));
  CHECK_FALSE(sent.complete(false, "ye"));
}
