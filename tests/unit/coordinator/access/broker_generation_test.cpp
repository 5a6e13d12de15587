#include "coordinator/access/broker_generation.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/output_of.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> names{"mosquitto.conf", "agents.acl", "people.acl", "passwords",
                                     "ca.crt",         "crl.pem",    "server.crt", "server.key"};

// Texts that tell of which call they are.
BrokerTexts texts(const std::string& mark) {
  return {"conf " + mark, "agents " + mark, "people " + mark,      "passwords " + mark,
          "ca " + mark,   "crl " + mark,    "certificate " + mark, "key " + mark};
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The mark of the generation that counts, once all of it is seen to be whole; empty: there is none.
std::string whole(const test::TemporaryFolder& folder) {
  if (!fs::exists(folder / "current")) return "";
  const std::string conf = content_of(folder / "current/mosquitto.conf");
  const std::string mark = conf.substr(std::min<std::size_t>(5, conf.size()));
  for (const std::string& name : names) {
    INFO(name);
    CHECK(content_of(folder / ("current/" + name)).ends_with(' ' + mark));
  }
  CHECK(test::output_of("cd " + (folder / "current") + " && sha256sum --quiet -c SHA256SUMS 2>&1").empty());
  const std::string digest = test::output_of("sha256sum <" + (folder / "current/SHA256SUMS"));
  CHECK(current_generation(folder.path()) ==
        fs::read_symlink(folder / "current").filename().string() + '-' + digest.substr(0, 16));
  return mark;
}

std::vector<std::string> generations(const test::TemporaryFolder& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder / "generations"))
    found.push_back(entry.path().filename().string());
  std::ranges::sort(found);
  return found;
}

mode_t mode_of(const std::string& path) {
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777U;
}

// A child writes a generation and is gone before its step `last`, as after a kill. False: it had fewer steps.
bool killed_at(const test::TemporaryFolder& folder, int last, const std::string& mark) {
  constexpr int killed = 3;
  const pid_t child = ::fork();
  if (child == 0) {
    int steps = 0;
    const auto written = write_generation({folder.path(), {}}, texts(mark), [&] {
      if (steps++ == last) ::_exit(killed);
    });
    ::_exit(written ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) != 1);
  return WEXITSTATUS(status) == killed;
}

}  // namespace

TEST_CASE("a new generation has a higher number than the one that a broker works with, whatever the folder has") {
  const test::TemporaryFolder folder;
  REQUIRE(write_generation({folder.path(), {}}, texts("1")));
  CHECK(write_generation({folder.path(), {}, "000007-0123456789abcdef"}, texts("2"))->starts_with("000008-"));
  CHECK(write_generation({folder.path(), {}, "000007-0123456789abcdef"}, texts("3"))->starts_with("000009-"));
  for (const char* none : {"", "rubbish", "999999999999999999-0"}) {
    CHECK(write_generation({folder.path(), {}, none}, texts(none))->starts_with("0000"));
  }
}

TEST_CASE("a generation has all files, sums of them and an id, and the link leads to the newest one") {
  const test::TemporaryFolder folder;
  CHECK(current_generation(folder.path()).empty());
  const auto first = write_generation({folder.path(), {}}, texts("one"));
  REQUIRE(first);
  CHECK(whole(folder) == "one");
  CHECK(first->starts_with("000001-"));
  const auto second = write_generation({folder.path(), {}}, texts("two"));
  REQUIRE(second);
  CHECK(whole(folder) == "two");
  CHECK(*second == current_generation(folder.path()));
  CHECK(second->starts_with("000002-"));
}

TEST_CASE("the last three generations are kept, and a number is not used twice") {
  const test::TemporaryFolder folder;
  for (const char* mark : {"1", "2", "3", "4", "5"}) REQUIRE(write_generation({folder.path(), {}}, texts(mark)));
  CHECK(generations(folder) == std::vector<std::string>{"000003", "000004", "000005"});
  CHECK(whole(folder) == "5");
  // The number after 999,999 has a digit more.
  fs::rename(folder / "generations/000005", folder / "generations/999999");
  REQUIRE(write_generation({folder.path(), {}}, texts("6")));
  REQUIRE(write_generation({folder.path(), {}}, texts("7")));
  CHECK(generations(folder) == std::vector<std::string>{"1000000", "1000001", "999999"});
  CHECK(whole(folder) == "7");
}

TEST_CASE("files are for owner and group only, whatever the umask, and have the group that was asked for") {
  const test::TemporaryFolder folder;
  REQUIRE(::chmod(folder.path().c_str(), 02750) == 0);
  const mode_t before = ::umask(0);
  const gid_t other = ::geteuid() == 0 ? 12345 : ::getegid();  // only root may give a file away
  REQUIRE(write_generation({folder.path(), other}, texts("one")));
  REQUIRE(stop_broker({folder.path(), other}, "a canary got through"));
  ::umask(0777);
  REQUIRE(write_generation({folder.path(), other}, texts("two")));
  ::umask(before);
  for (const char* generation : {"000001", "000002"}) {
    const std::string path = folder / ("generations/" + std::string(generation));
    CHECK((mode_of(path) & 0777U) == 0750);
    for (const std::string& name : names) {
      INFO(name);
      CHECK(mode_of(path + '/' + name) == 0640);
      struct stat info{};
      REQUIRE(::stat((path + '/' + name).c_str(), &info) == 0);
      CHECK(info.st_gid == other);
    }
  }
  CHECK((mode_of(folder / "generations") & 0777U) == 0750);
  CHECK(mode_of(folder / "stop") == 0640);
}

TEST_CASE("a kill at any step leaves the old generation or the new one, whole, and the next call goes on from there") {
  const test::TemporaryFolder folder;
  for (const char* mark : {"1", "2", "3"}) REQUIRE(write_generation({folder.path(), {}}, texts(mark)));
  std::string counts = "3";
  int steps = 0;
  for (;; ++steps) {
    const std::string mark = "killed at " + std::to_string(steps);
    const bool killed = killed_at(folder, steps, mark);
    INFO(mark);
    const std::string seen = whole(folder);
    CHECK((seen == counts || seen == mark));
    counts = seen;
    if (!killed) break;
  }
  CHECK(steps > 15);
  CHECK(counts == "killed at " + std::to_string(steps));  // that one was not killed
  CHECK(generations(folder).size() == generations_kept);
  CHECK_FALSE(fs::exists(folder / "current.new"));
}

TEST_CASE("a kill in the first call of all leaves no generation, or a whole one") {
  for (int step = 0;; ++step) {
    const test::TemporaryFolder folder;
    const bool killed = killed_at(folder, step, "first");
    INFO(step);
    const std::string seen = whole(folder);
    CHECK((seen.empty() || seen == "first"));
    REQUIRE(write_generation({folder.path(), {}}, texts("second")));
    CHECK(whole(folder) == "second");
    if (!killed) break;
  }
}

TEST_CASE("a folder that cannot be written is an error that names it, and the old generation counts") {
  const test::TemporaryFolder folder;
  REQUIRE(write_generation({folder.path(), {}}, texts("one")));
  fs::remove_all(folder / "generations/000002");
  std::ofstream(folder / "current.new") << "in the way";  // an old file of any kind is replaced
  REQUIRE(write_generation({folder.path(), {}}, texts("two")));
  fs::create_directory(folder / "current.new");
  const auto written = write_generation({folder.path(), {}}, texts("three"));
  REQUIRE_FALSE(written);
  CHECK(written.error().message.find("current.new") != std::string::npos);
  CHECK(whole(folder) == "two");
  const auto absent = write_generation({folder / "absent", {}}, texts("four"));
  REQUIRE_FALSE(absent);
  CHECK(absent.error().message.find("absent") != std::string::npos);
}

TEST_CASE("the broker is stopped by a file, twice is no error, and released") {
  const test::TemporaryFolder folder;
  REQUIRE(stop_broker({folder.path(), {}}, "a canary got through"));
  REQUIRE(stop_broker({folder.path(), {}}, "again"));
  CHECK(content_of(folder / "stop") == "again\n");
  REQUIRE(release_broker(folder.path()));
  REQUIRE(release_broker(folder.path()));
  CHECK_FALSE(fs::exists(folder / "stop"));
}
