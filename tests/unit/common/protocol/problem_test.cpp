#include "common/protocol/problem.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::protocol;

TEST_CASE("kinds of errors and their statuses are converted in both directions") {
  for (const auto kind :
       {ErrorKind::invalid, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::too_large, ErrorKind::busy,
        ErrorKind::unsupported, ErrorKind::full, ErrorKind::unavailable, ErrorKind::internal}) {
    CHECK(kind_of_status(status_of(kind)) == kind);
  }
  CHECK(kind_of_status(400) == ErrorKind::invalid);
  CHECK(kind_of_status(410) == ErrorKind::not_found);
  CHECK(kind_of_status(502) == ErrorKind::unavailable);
  CHECK(kind_of_status(505) == ErrorKind::internal);
}

TEST_CASE("an error is problem+json whose status is the status of its kind") {
  CHECK(problem_json(Error{"no \"x\"", ErrorKind::not_found}) ==
        R"({"type":"about:blank","title":"Not found","status":404,"detail":"no \"x\""})");
}

TEST_CASE("a budget that is used up tells how long") {
  const Error error{"used up", ErrorKind::used_up, std::chrono::milliseconds(61'001)};
  CHECK(
      problem_json(error.context("x")) ==
      R"({"type":"about:blank","title":"The budget is used up","status":429,"detail":"x: used up","retry_after_ms":61001})");
  CHECK(retry_after(*error.retry_after) == "62");
}
