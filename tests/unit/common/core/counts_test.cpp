#include "common/core/counts.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("numbers and sizes are formatted for people") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1'234'567) == "1,234,567");
  CHECK(counted(1, "task", "tasks") == "1 task");
  CHECK(counted(0, "task", "tasks") == "0 tasks");
  CHECK(show_bytes(1) == "1 byte");
  CHECK(show_bytes(1536) == "1.5 KiB");
  CHECK(show_bytes(std::uint64_t{1} << 50U) == "1024.0 TiB");
}
