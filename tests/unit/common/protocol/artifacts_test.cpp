#include "common/protocol/artifacts.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet::protocol;

TEST_CASE("artifacts are found in inputs at any depth") {
  CHECK(artifacts_in(R"({"a":{"artifact":"x"},"b":[{"artifact":"y"},{"artifact":"x"}],"artifact":5})") ==
        std::vector<std::string>{"x", "y"});
  CHECK(artifacts_in("[1,2]").empty());
  CHECK(artifacts_in(R"({"\u0061rtifact":"x"})") == std::vector<std::string>{"x"});
}
