#include "coordinator/http/ask.hpp"

#include "common/http/client.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("a client still waits when the coordinator says that its loop does not answer") {
  CHECK(coordinator::loop_patience + std::chrono::seconds(2) < http::Options{}.timeout);
}
