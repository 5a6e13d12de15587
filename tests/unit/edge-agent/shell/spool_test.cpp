#include "edge-agent/shell/spool.hpp"

#include <filesystem>

#include "tests/support/agent.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::test;
namespace fs = std::filesystem;

namespace {

TaskResult result_of(std::uint64_t number, const std::string& output) {
  TaskResult result;
  result.id = id(number);
  result.attempt = 1;
  result.output = JsonText(output);
  result.capability = *Capability::parse("echo");
  return result;
}

std::size_t files_in(const std::string& folder) {
  std::error_code failure;
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder, failure), fs::directory_iterator{}));
}

}  // namespace

TEST_CASE("the later version of a result that is spooled twice is kept, and removed once") {
  const TemporaryFolder folder;
  const ResultSpool spool(folder.path());
  REQUIRE(spool.keep({result_of(1, "1"), result_of(2, "2"), result_of(1, "3")}));
  std::vector<std::string> complaints;
  const auto kept = spool.load(complaints);
  REQUIRE(kept.size() == 2);
  CHECK(kept.front().output == "3");
  CHECK(complaints.empty());
  spool.forget({id(1), 1});
  spool.forget({id(2), 1});
  CHECK(files_in(folder.path()) == 0);
}

TEST_CASE("if not all results can be spooled, none is left on the disk") {
  const TemporaryFolder folder;
  const ResultSpool spool(folder.path());
  fs::create_directories(folder.path() + "/" + id(2).str() + "-1.json/in the way");
  REQUIRE_FALSE(spool.keep({result_of(1, "1"), result_of(2, "2"), result_of(3, "3")}));
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a result that is kept for inspection is complete, or reported as lost") {
  const TemporaryFolder folder;
  const std::string unknown = folder.path() + "/unknown";
  const auto keep = [&](std::uint64_t number) {
    return keep_for_person(unknown, *SessionId::parse("life"), result_of(number, "42"));
  };
  const auto kept = keep(1);
  REQUIRE(kept);
  CHECK(fs::file_size(*kept) > 0);
  // A full disk: the file can be created, but not written.
  fs::create_symlink("/dev/full", unknown + "/" + id(2).str() + "-1.json.new");
  CHECK_FALSE(keep(2));
  CHECK(files_in(unknown) == 1);
}
