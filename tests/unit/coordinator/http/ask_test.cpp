#include "coordinator/http/ask.hpp"

#include "common/http/client.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("the coordinator reports that its loop does not answer before a client's timeout") {
  CHECK(coordinator::loop_patience + std::chrono::seconds(2) < http::Options{}.timeout);
}
