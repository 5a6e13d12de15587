#include "coordinator/http/bounded_place.hpp"

#include <memory>
#include <vector>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

TEST_CASE("an access has a bound of its own on requests that wait, below that of all") {
  WaitBound bound(5, 2);
  BoundedPlace first(bound, "a");
  {
    const BoundedPlace second(bound, "a");
    CHECK_FALSE(second.refusal());
    const BoundedPlace third(bound, "a");
    REQUIRE(third.refusal());
    CHECK(third.refusal()->kind == ErrorKind::busy);
    CHECK(third.refusal()->message.find("2 requests of the access a are waiting") == 0);
    const BoundedPlace b(bound, "b");
    CHECK_FALSE(b.refusal());
  }
  const BoundedPlace again(bound, "a");  // the place is free, and the one that was refused had none
  CHECK_FALSE(again.refusal());
  SECTION("before there are accesses only the bound of all counts") {
    std::vector<std::unique_ptr<BoundedPlace>> local;
    for (int i = 0; i < 3; ++i) CHECK_FALSE(local.emplace_back(std::make_unique<BoundedPlace>(bound, ""))->refusal());
    const BoundedPlace over(bound, "");
    REQUIRE(over.refusal());
    CHECK(over.refusal()->kind == ErrorKind::unavailable);
  }
}
