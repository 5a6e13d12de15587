#include "common/files/private_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
namespace fs = std::filesystem;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("a private file is its owner's only, whatever was there before") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "key", other = folder / "other";
  std::ofstream(other) << "somebody else's";
  REQUIRE(write_private_file(path, "one"));
  CHECK((fs::status(path).permissions() & fs::perms::mask) == (fs::perms::owner_read | fs::perms::owner_write));
  REQUIRE(::mkfifo((path + ".new").c_str(), 0666) == 0);
  REQUIRE(write_private_file(path, "two"));
  CHECK(content_of(path) == "two");
  fs::create_hard_link(other, path + ".new");
  REQUIRE(write_private_file(path, "three"));
  fs::create_symlink(other, path + ".new");
  REQUIRE(write_private_file(path, "four"));
  CHECK(content_of(path) == "four");
  CHECK(content_of(other) == "somebody else's");
  CHECK_FALSE(fs::exists(fs::symlink_status(path + ".new")));
}
