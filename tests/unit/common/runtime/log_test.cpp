#include "common/runtime/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <regex>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;

namespace {

// Captures the lines written to stderr during its lifetime.
class Stderr {
 public:
  Stderr() : before_(::dup(STDERR_FILENO)) {
    const int file = ::open(path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    REQUIRE(::dup2(file, STDERR_FILENO) == STDERR_FILENO);
    ::close(file);
  }
  Stderr(const Stderr&) = delete;
  Stderr& operator=(const Stderr&) = delete;
  Stderr(Stderr&&) = delete;
  Stderr& operator=(Stderr&&) = delete;
  ~Stderr() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::ifstream file(path());
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }

 private:
  [[nodiscard]] std::string path() const { return folder_.path() + "/stderr"; }

  test::TemporaryFolder folder_;
  int before_;
};

}  // namespace

TEST_CASE("a log has one of four levels") {
  for (const char* level : {"debug", "info", "warning", "error"}) CHECK(log::start("test", level));
  const auto wrong = log::start("test", "loud");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().message.find("\"loud\"") != std::string::npos);
}

TEST_CASE("messages below the level are not written") {
  const Stderr output;
  REQUIRE(log::start("test", "warning"));
  log::info("quiet");
  log::warning("heard");
  const auto lines = output.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].ends_with("heard"));
}

TEST_CASE("a line begins with the local time and its difference to UTC") {
  const Stderr output;
  REQUIRE(log::start("test", "info"));
  log::info("text");
  const auto lines = output.lines();
  REQUIRE(lines.size() == 1);
  CAPTURE(lines[0]);
  CHECK(std::regex_match(lines[0], std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d info .*)")));
}

TEST_CASE("a message is one line, also if text of a peer has newlines") {
  const Stderr output;
  REQUIRE(log::start("test", "info"));
  log::info("name\n2026-01-01 error forged\r\x1b[31m");
  const auto lines = output.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].ends_with("name 2026-01-01 error forged  [31m"));
}

TEST_CASE("some messages of one kind are written and all are counted; other kinds are not affected") {
  const Stderr output;
  REQUIRE(log::start("test", "info"));
  log::Complaints complaints;
  for (int i = 0; i < 100; ++i) complaints.complain("one", "one");
  complaints.complain("other", "other");
  CHECK(complaints.count() == 101);
  const auto lines = output.lines();
  REQUIRE(lines.size() == 6);
  CHECK(lines.back().ends_with("other"));
}

TEST_CASE("peers with ever new names cannot fill the log, and do not hide other kinds of messages") {
  const Stderr output;
  REQUIRE(log::start("test", "info"));
  log::Complaints complaints;
  for (int i = 0; i < 5'000; ++i) complaints.complain_of("dropped", "peer " + std::to_string(i), "x");
  complaints.complain("store", "the disk is full");
  complaints.complain_of("note", "agent pi-1", "it is lost");
  CHECK(complaints.count() == 5'002);
  const auto lines = output.lines();
  CHECK(lines.size() == 102);
  CHECK(lines.at(100).ends_with("the disk is full"));
  CHECK(lines.at(101).ends_with("it is lost"));
}

TEST_CASE("one peer does not use up the lines of the others") {
  const Stderr output;
  REQUIRE(log::start("test", "info"));
  log::Complaints complaints;
  for (int i = 0; i < 1'000; ++i) complaints.complain_of("dropped", "loud", "x");
  complaints.complain_of("dropped", "quiet", "y");
  const auto lines = output.lines();
  REQUIRE(lines.size() == 6);
  CHECK(lines.back().ends_with("y"));
}

TEST_CASE("text of a peer cannot change the direction of a line, or control a terminal") {
  const Stderr output;
  REQUIRE(log::start("test", "info"));
  log::info(
      "a\xE2\x80\xAE"
      "b\xC2\x9B"
      "c\x7F"
      "d");
  CHECK(output.lines().at(0).ends_with("a b c d"));
}
