#include "common/core/listed_model.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;

namespace {

std::string named(const char* wanted) {
  const std::vector<std::string> models = {"tinyllama:latest", "tinyllama:1b", "openai/gpt-oss-20b",
                                           "ollama/own",       "own:latest",   "host:5000/ns/m:latest"};
  const auto* found = listed_model(models, "ollama", wanted);
  return found == nullptr ? "" : *found;
}

}  // namespace

TEST_CASE("a model is named with or without its provider, with or without :latest") {
  for (const char* wanted : {"tinyllama:latest", "tinyllama", "ollama/tinyllama", "ollama/tinyllama:latest"}) {
    INFO(wanted);
    CHECK(named(wanted) == "tinyllama:latest");
  }
  CHECK(named("tinyllama:1b") == "tinyllama:1b");
  CHECK(named("openai/gpt-oss-20b") == "openai/gpt-oss-20b");
  CHECK(named("ollama/openai/gpt-oss-20b") == "openai/gpt-oss-20b");
  CHECK(named("ollama/own") == "ollama/own");  // its own name comes first
  CHECK(named("host:5000/ns/m") == "host:5000/ns/m:latest");
}

TEST_CASE("no other name is a model") {
  for (const char* wanted : {"", "tiny", "tinyllama:", "tinyllama:2b", "Tinyllama", "groq/tinyllama", "ollama/",
                             "ollama", "/tinyllama", "gpt-oss-20b"}) {
    INFO(wanted);
    CHECK(named(wanted).empty());
  }
  CHECK(listed_model({"m"}, "", "/m") == nullptr);
}
