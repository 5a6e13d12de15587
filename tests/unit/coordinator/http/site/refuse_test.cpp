#include "coordinator/http/site/refuse.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

TEST_CASE("the refusal of a task that is too large names the bound of its input, and the way to send more") {
  const http_server::Problem large{413, "the body is larger than 3 bytes", {}};
  CHECK(advice_on(large, "/api/v1/tasks", 2).find("; the input of a task has at most 2 bytes (--max-task-mb") == 0);
  CHECK(advice_on(large, "/api/v1/tasks", 2).find("PUT /api/v1/artifacts") != std::string::npos);
  CHECK(advice_on(large, "/v1/chat/completions", 2).find("at most 2 bytes (--max-task-mb") != std::string::npos);
  CHECK(advice_on(large, "/api/v1/batches", 2).empty());
  CHECK(advice_on({400, "x", {}}, "/api/v1/tasks", 2).empty());
}

TEST_CASE("a refusal has the shape of its API") {
  const http_server::Problem large{413, "too large", {}};
  CHECK(refuse(large, "/api/v1/tasks").content_type == "application/problem+json");
  CHECK(refuse(large, "/v1/completions").body.find(R"({"error":{)") == 0);
}
