#include "coordinator/http/llm/task/beginnings.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace edgefleet::coordinator::llm;
using Json = nlohmann::json;

namespace {

std::string chat(const std::string& model, std::vector<std::string> said) {
  Json request = {{"model", model}, {"messages", Json::array()}};
  for (auto& text : said) {
    const char* role = request["messages"].size() % 2 == 0 ? "user" : "assistant";
    request["messages"].push_back({{"role", role}, {"content", std::move(text)}});
  }
  return request.dump();
}

}  // namespace

TEST_CASE("the next turn begins with all messages of the previous one") {
  const auto first = beginnings_of(chat("m", {"Hi"}));
  const auto second = beginnings_of(chat("m", {"Hi", "Hello", "And now?"}));
  REQUIRE(first.size() == 1);
  REQUIRE(second.size() == 3);
  CHECK(second[0] == first.back());
  CHECK(second[2] != second[0]);
}

TEST_CASE("another model, other text or other roles are another conversation") {
  const auto one = beginnings_of(chat("m", {"Hi"}));
  CHECK(beginnings_of(chat("n", {"Hi"})) != one);
  CHECK(beginnings_of(chat("m", {"Hi!"})) != one);
  CHECK(beginnings_of(R"({"messages":[{"content":"Hi","role":"system"}],"model":"m"})") != one);
}

TEST_CASE("the longest beginnings of a long conversation are kept; other requests have none") {
  const auto all = beginnings_of(chat("m", std::vector<std::string>(500, "x")));
  CHECK(all.size() == most_beginnings);
  CHECK(all.back() == beginnings_of(chat("m", std::vector<std::string>(500, "x"))).back());
  CHECK(beginnings_of(R"({"model":"m","prompt":"x"})").empty());
  CHECK(beginnings_of(R"({"messages":"x"})").empty());
  CHECK(beginnings_of("[]").empty());
}
