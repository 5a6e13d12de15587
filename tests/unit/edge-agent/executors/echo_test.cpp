#include "edge-agent/executors/echo.hpp"

#include "tests/support/catch.hpp"

namespace edgefleet::agent {
namespace {

TEST_CASE("echo offers its slots and returns its input") {
  EchoExecutor echo(7);
  ExecutorInfo offered;
  echo.start([&](ExecutorInfo info) { offered = std::move(info); });
  CHECK(echo.instant());
  CHECK(offered.slots == 7);
  REQUIRE(offered.capabilities.size() == 1);
  CHECK(offered.capabilities.front().str() == "echo");
  Job job;
  job.input = R"({"n":1.0})";
  const auto outcome = echo.run(job, {}, {});
  CHECK(outcome.output == job.input);
  CHECK_FALSE(outcome.error);
}

}  // namespace
}  // namespace edgefleet::agent
