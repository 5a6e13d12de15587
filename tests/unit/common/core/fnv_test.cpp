#include "common/core/fnv.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("FNV-1a has the values that its authors publish") {
  CHECK(fnv1a("") == 0xcbf29ce484222325ULL);
  CHECK(fnv1a("a") == 0xaf63dc4c8601ec8cULL);
  CHECK(fnv1a("foobar") == 0x85944171f73967e8ULL);
}

TEST_CASE("a text may be hashed in pieces") { CHECK(fnv1a("bar", fnv1a("foo")) == fnv1a("foobar")); }

TEST_CASE("bytes above 127 are unsigned") { CHECK(fnv1a("\xff") != fnv1a("\x7f")); }
