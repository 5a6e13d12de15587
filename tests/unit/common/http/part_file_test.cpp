#include "common/http/part_file.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::http;
namespace fs = std::filesystem;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::ptrdiff_t files_in(const std::string& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator{});
}

}  // namespace

TEST_CASE("a file appears under its name when it is committed, not before") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  std::ofstream(path) << "old";
  auto part = PartFile::create(path);
  REQUIRE(part);
  REQUIRE(part->write("new "));
  REQUIRE(part->write("content"));
  CHECK(content_of(path) == "old");
  REQUIRE(part->commit());
  CHECK(content_of(path) == "new content");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("an uncommitted file is removed, also after it was moved") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  {
    auto part = PartFile::create(path);
    REQUIRE(part);
    REQUIRE(part->write("half"));
    const PartFile moved = std::move(*part);
    CHECK(files_in(folder.path()) == 1);
  }
  CHECK(files_in(folder.path()) == 0);
}

TEST_CASE("two writers of one file are independent before the commit, and the later commit wins") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  auto first = PartFile::create(path);
  auto second = PartFile::create(path);
  REQUIRE((first && second));
  REQUIRE(first->write("first"));
  REQUIRE(second->write("second"));
  REQUIRE(second->commit());
  REQUIRE(first->commit());
  CHECK(content_of(path) == "first");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a folder that is absent is an error that names the file") {
  const auto part = PartFile::create("/nonexistent/folder/file");
  REQUIRE_FALSE(part);
  CHECK(part.error().message.find("/nonexistent/folder/file") != std::string::npos);
}
