#include "common/files/folder.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

namespace edgefleet {
namespace {

namespace fs = std::filesystem;

using Temp = test::TemporaryFolder;

std::string refusal(const Status& status) { return status ? "" : status.error().message; }

TEST_CASE("an absent folder is made for its owner, and then accepted with any spelling") {
  const Temp temp;
  const mode_t before = ::umask(077);
  const auto made = make_private_folder(temp / "a/b", "--work");
  ::umask(before);
  REQUIRE(made.ok());
  CHECK((fs::status(temp / "a/b").permissions() & fs::perms::mask) == fs::perms::owner_all);
  for (const char* spelling : {"a/b/", "a/./b", "a/b/.", "a/b//"})
    CHECK(make_private_folder(temp / spelling, "--work").ok());
  CHECK(check_private_folder(temp / "a/b", "--work").ok());
  CHECK(check_private_folder(temp / "absent", "--work").ok());
}

TEST_CASE("a folder may be readable by others, but not be changed by them") {
  const Temp temp;
  fs::create_directory(temp / "w");
  REQUIRE(::chmod((temp / "w").c_str(), 0755) == 0);
  CHECK(make_private_folder(temp / "w", "--work").ok());
  for (const mode_t mode : {0775U, 0757U, 01777U}) {
    REQUIRE(::chmod((temp / "w").c_str(), mode) == 0);
    const auto text = refusal(make_private_folder(temp / "w", "--work"));
    CHECK(text.find("(--work) can be changed by other users (mode ") != std::string::npos);
    CHECK(text.find("chmod go-w " + temp / "w") != std::string::npos);
    CHECK_FALSE(check_private_folder(temp / "w", "--work").ok());
  }
}

TEST_CASE("a symbolic link is not followed, also with a slash at its end") {
  const Temp temp;
  fs::create_directory(temp / "real");
  fs::create_directory_symlink(temp / "real", temp / "link");
  fs::create_directory_symlink(temp / "nowhere", temp / "dangling");
  for (const char* link : {"link", "link/", "link/.", "dangling"}) {
    INFO(link);
    CHECK(refusal(make_private_folder(temp / link, "--data")).find("is a symbolic link") != std::string::npos);
  }
  CHECK(refusal(make_private_folder(temp / "link", "--data")).find(": " + fs::canonical(temp / "real").string()) !=
        std::string::npos);
  CHECK_FALSE(fs::exists(temp / "nowhere"));
}

TEST_CASE("a folder of another user, and what is no folder, are refused") {
  const Temp temp;
  std::ofstream(temp / "file") << "x";
  CHECK(refusal(make_private_folder(temp / "file", "--work")).find("is not a folder") != std::string::npos);
  std::string foreign = "/";
  if (::geteuid() == 0) {
    foreign = temp / "foreign";
    fs::create_directory(foreign);
    REQUIRE(::chown(foreign.c_str(), 65534, 65534) == 0);
  }
  CHECK(refusal(make_private_folder(foreign, "--work")).find("belongs to user ") != std::string::npos);
  CHECK(refusal(make_private_folder(foreign, "--work")).find("run `chown -R ") != std::string::npos);
}

TEST_CASE("a folder is used by one program at a time, and its lock is no link") {
  const Temp temp;
  fs::create_directory(temp / "w");
  {
    FolderLock first;
    CHECK(first.take(temp / "w", "in use").ok());
    FolderLock second;
    const auto refused = second.take(temp / "w", "in use");
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().kind == ErrorKind::conflict);
    CHECK(refused.error().message == "in use");
  }
  FolderLock third;
  CHECK(third.take(temp / "w", "in use").ok());

  fs::create_directory(temp / "v");
  std::ofstream(temp / "target") << "x";
  fs::create_symlink(temp / "target", temp / "v/lock");
  FolderLock fourth;
  CHECK_FALSE(fourth.take(temp / "v", "in use").ok());
}

}  // namespace
}  // namespace edgefleet
