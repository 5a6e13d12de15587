#include "common/protocol/artifacts.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet::protocol;

TEST_CASE("artifacts are found in inputs at any depth") {
  CHECK(artifacts_in(R"({"a":{"artifact":"x"},"b":[{"artifact":"y"},{"artifact":"x"}],"artifact":5})") ==
        std::vector<std::string>{"x", "y"});
  CHECK(artifacts_in("[1,2]").empty());
  CHECK(artifacts_in(R"({"\u0061rtifact":"x"})") == std::vector<std::string>{"x"});
  CHECK(artifacts_in("{ \"artifact\" :\t\"x\" , \"artifact\":\n\"y\\\"z\" }") == std::vector<std::string>{"x", "y\"z"});
}

TEST_CASE("texts that look like the name of an artifact are none") {
  CHECK(artifacts_in(R"(["artifact","x"])").empty());
  CHECK(artifacts_in(R"({"a":"\"artifact\":\"x\"","artifacts":"y","b":"artifact"})").empty());
  CHECK(artifacts_in(R"("artifact")").empty());
}

TEST_CASE("artifacts are found in lists of any length") {
  std::string many = "[";
  for (int i = 0; i < 200'000; ++i) many += "1,";
  CHECK(artifacts_in(many + R"({"artifact":"x"}])") == std::vector<std::string>{"x"});
}
