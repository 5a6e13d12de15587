#include "common/http/problem.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::http;

namespace {

Response answer(int status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

}  // namespace

TEST_CASE("the detail of a problem is the message, its status the kind") {
  const auto error =
      to_error(answer(404, R"({"type":"about:blank","title":"Not found","status":404,"detail":"there is no task X"})"));
  CHECK(error.message == "there is no task X");
  CHECK(error.kind == ErrorKind::not_found);
}

TEST_CASE("an error without an explanation still has a message") {
  CHECK(to_error(answer(502, "<html>Bad gateway</html>")).message.find("502") != std::string::npos);
  CHECK(to_error(answer(500, "")).message.find("500") != std::string::npos);
  CHECK(to_error(answer(409, R"({"title":"Conflict","detail":7})")).message == "Conflict (HTTP status 409)");
}

TEST_CASE("the bad elements of a batch are listed, malformed entries skipped") {
  const auto problem = parse_problem(
      answer(422, R"({"detail":"2 bad","errors":[{"index":3,"detail":"x"},7,{"index":-1},{"index":9}]})"));
  REQUIRE(problem.faults.size() == 2);
  CHECK(problem.faults[0].index == 3);
  CHECK(problem.faults[0].detail == "x");
  CHECK(problem.faults[1].index == 9);
}

TEST_CASE("a success is returned unchanged") {
  CHECK(expect_success(answer(202, "{}")));
  CHECK_FALSE(expect_success(answer(301, "")));
  CHECK_FALSE(expect_success(Error{"away", ErrorKind::unavailable}));
}
