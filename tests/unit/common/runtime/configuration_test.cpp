#include "common/runtime/configuration.hpp"

#include <array>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;

namespace {

// The exit code of the program; none: it continues.
std::optional<int> parse(double& degrees, const char* option, const std::string& value) {
  Configuration configuration("A test.", "test");
  configuration.option("degrees", degrees, "of something")->check(CLI::Range(0.0, 120.0));
  const std::array<const char*, 3> arguments{"test", option, value.c_str()};
  return configuration.parse(arguments.size(), arguments.data());
}

}  // namespace

TEST_CASE("a value that is not a number is refused, on the command line and in the file") {
  const test::TemporaryFolder folder;
  for (const char* value : {"nan", "inf", "121.0"}) {
    INFO(value);
    double degrees = 0;
    CHECK(parse(degrees, "--degrees", value) == 2);
    const std::string path = folder.path() + "/test.toml";
    std::ofstream(path) << "degrees = " << value << '\n';
    CHECK(parse(degrees, "--config", path) == 2);
  }
}

TEST_CASE("a folder is not a file of options") {
  const test::TemporaryFolder folder;
  double degrees = 0;
  CHECK(parse(degrees, "--config", folder.path()) == 2);
}

TEST_CASE("a misspelt option or key is named with the one that was meant") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/test.toml";
  std::ofstream(path) << "degres = 70\n";
  double degrees = 0;
  std::ostringstream said;
  auto* const before = std::cerr.rdbuf(said.rdbuf());
  const auto option = parse(degrees, "--degres", "70");
  const auto key = parse(degrees, "--config", path);
  std::cerr.rdbuf(before);
  CHECK(option == 2);
  CHECK(key == 2);
  CHECK(said.str() == "test: no such option: --degres; did you mean --degrees? See test --help\ntest: " + path +
                          ", line 1: unknown key `degres`; did you mean `degrees`?\n");
}

TEST_CASE("a number within its range is accepted, from the command line and from the file") {
  const test::TemporaryFolder folder;
  double degrees = 0;
  CHECK_FALSE(parse(degrees, "--degrees", "61.5"));
  CHECK(degrees == 61.5);
  const std::string path = folder.path() + "/test.toml";
  std::ofstream(path) << "degrees = 70\n";
  CHECK_FALSE(parse(degrees, "--config", path));
  CHECK(degrees == 70);
}
