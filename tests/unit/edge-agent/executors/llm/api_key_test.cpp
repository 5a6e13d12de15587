#include "edge-agent/executors/llm/api_key.hpp"

#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

TEST_CASE("a key is the first line of its file, with any line ending") {
  const test::TemporaryFolder folder;
  Config config;
  config.api_key_file = folder.path() + "/key";
  for (const char* text : {"sesame", "sesame\n", "sesame\r\n", "sesame\nsecond line"}) {
    std::ofstream(config.api_key_file) << text;
    CHECK(*read_key(config) == "sesame");
  }
  for (const char* text : {"", "\n", "\r\n"}) {
    std::ofstream(config.api_key_file) << text;
    CHECK_FALSE(read_key(config));
  }
}

TEST_CASE("a key that a back end repeats is removed") {
  CHECK(without_key("wrong: Bearer sesame (sesame)", "sesame") == "wrong: Bearer [key] ([key])");
  CHECK(without_key("wrong", "sesame") == "wrong");
  CHECK(without_key("no key", "") == "no key");
}
