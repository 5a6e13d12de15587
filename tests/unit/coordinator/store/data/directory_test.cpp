// The reserve of disk space.
#include "coordinator/store/data/directory.hpp"

#include <filesystem>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

TEST_CASE("the reserve is given back a mebibyte at a time, and filled up again") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() + "/reserve";
  const std::uint64_t mebibyte = 1U << 20U;
  const std::uint64_t full = full_reserve(folder.path());
  CHECK(full >= mebibyte);
  CHECK(full <= 16 * mebibyte);
  CHECK_FALSE(give_back_reserve(folder.path()));
  keep_reserve(folder.path());
  REQUIRE(std::filesystem::exists(path));
  const std::uint64_t kept = std::filesystem::file_size(path);
  CHECK(kept <= full);
  CHECK(kept % mebibyte == 0);
  for (std::uint64_t left = kept; left > mebibyte; left -= mebibyte) {
    REQUIRE(give_back_reserve(folder.path()));
    CHECK(std::filesystem::file_size(path) == left - mebibyte);
  }
  CHECK(give_back_reserve(folder.path()));
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK_FALSE(give_back_reserve(folder.path()));
  keep_reserve(folder.path());
  CHECK(std::filesystem::file_size(path) == kept);
}
