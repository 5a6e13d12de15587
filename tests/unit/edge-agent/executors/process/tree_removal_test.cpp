#include "edge-agent/executors/process/tree_removal.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
namespace fs = std::filesystem;

namespace {

// A chain of folders, each with a file.
void make_chain(const std::string& path, int depth) {
  REQUIRE(::mkdir(path.c_str(), S_IRWXU) == 0);
  int at = ::open(path.c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < depth; ++i) {
    REQUIRE(::mkdirat(at, "d", S_IRWXU) == 0);
    ::close(::openat(at, "file", O_WRONLY | O_CREAT, S_IRUSR));
    const int next = ::openat(at, "d", O_RDONLY | O_DIRECTORY);
    ::close(at);
    at = next;
  }
  ::close(at);
}

}  // namespace

TEST_CASE("a tree of any depth is removed with few descriptors") {
  const test::TemporaryFolder folder;
  make_chain(folder.path() + "/deep", 3000);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit few{32, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  const auto removed = remove_tree(folder.path() + "/deep");
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(removed);
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("folders without permissions are removed, links are not followed, and what is absent is no error") {
  const test::TemporaryFolder folder;
  const std::string tree = folder.path() + "/tree";
  const std::string kept = folder.path() + "/kept";
  fs::create_directories(tree + "/closed/inner/.removed-1/x");
  fs::create_directories(tree + "/.removed-1");
  fs::create_directories(kept);
  std::ofstream(kept + "/file") << "kept";
  std::ofstream(tree + "/.removed-2") << "a file of the name";
  fs::create_directory_symlink(kept, tree + "/closed/link");
  fs::permissions(tree + "/closed/inner", fs::perms::none);
  fs::permissions(tree + "/closed", fs::perms::none);
  CHECK(remove_tree(tree));
  CHECK_FALSE(fs::exists(tree));
  CHECK(fs::exists(kept + "/file"));
  CHECK(remove_tree(tree));
  CHECK(remove_tree(kept + "/file"));
  CHECK(fs::is_empty(kept));
}
