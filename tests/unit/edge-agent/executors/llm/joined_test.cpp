#include "edge-agent/executors/llm/joined.hpp"

#include <chrono>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

TEST_CASE("members keep their order, and the parts of each are joined") {
  Joined joined(Joined::Parts::lists_and_texts);
  joined.add("z", "[1]");
  joined.add("a", "\"x\"");
  joined.add("z", "[2]");
  joined.add("a", "\"y\"");
  joined.add("n", "1");
  joined.add("n", "null");
  CHECK(joined.object() == R"({"z":[1,2],"a":"xy","n":1})");
  CHECK(joined.has("a"));
  CHECK_FALSE(joined.has("b"));
}

TEST_CASE("of members without parts the last value counts") {
  Joined joined(Joined::Parts::none);
  joined.add("a", "[1]");
  joined.add("a", "[1,2]");
  joined.add("b", R"("x")");
  joined.add("b", R"("xy")");
  CHECK(joined.object() == R"({"a":[1,2],"b":"xy"})");
  CHECK(joined.bytes() < 300);
}

TEST_CASE("200,000 different members do not cost quadratic time") {
  Joined joined;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 200'000; ++i) joined.add("k" + std::to_string(i), "1");
  // A search of the list for each of them takes longer than that even on a fast machine.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  CHECK(joined.bytes() > std::size_t{200'000} * 16);
}
