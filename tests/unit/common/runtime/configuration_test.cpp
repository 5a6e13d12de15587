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

namespace {

// What the program says to a file with this text, before it ends; empty: it continues.
std::string complaint(const std::string& text) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/test.toml";
  std::ofstream(path) << text;
  Configuration configuration("A test.", "test");
  std::string word;
  configuration.option("word", word, "of something");
  for (const char* table : {"a", "b"}) configuration.allow_table(table);
  const std::array<const char*, 3> arguments{"test", "--config", path.c_str()};
  std::ostringstream said;
  auto* const before = std::cerr.rdbuf(said.rdbuf());
  const auto ended = configuration.parse(arguments.size(), arguments.data());
  std::cerr.rdbuf(before);
  CHECK(ended == (said.str().empty() ? std::nullopt : std::optional(2)));
  return said.str().empty() ? "" : said.str().substr(("test: " + path).size());
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  while (times-- > 0) all += text;
  return all;
}

}  // namespace

TEST_CASE("a key of many parts is refused in each place where there can be one") {
  const std::string said = ", line 2: a key has at most 32 parts\n";
  for (const std::size_t parts : {32U, 50'000U}) {
    const std::string key = repeated("a.", parts) + "b";
    CHECK(complaint("\n" + key + " = 1\n") == said);
    CHECK(complaint("\n[" + key + "]\n") == said);
    CHECK(complaint("\n[[" + key + "]]\n") == said);
    CHECK(complaint("\na = { b = 1, " + key + " = 1 }\n") == said);
    CHECK(complaint("\na = [ 1, { " + key + " = 1 } ]\n") == said);
    CHECK(complaint("\n" + repeated("'a' . \"a.\\\"\".", parts) + "b = 1\n") == said);
    CHECK(complaint("a = \"\"\"x\"\"\"\"\"\n" + key + " = 1\n") == said);
    CHECK(complaint("a = 'x' # it's\n" + key + " = 1\n") == said);
    CHECK(complaint("a = ''\n" + key + " = 1\n") == said);
  }
  CHECK(complaint(repeated("a.", 31) + "b = 1\n").empty());
}

TEST_CASE("values that are nested deeply are refused") {
  const std::string said = ", line 1: values are nested in at most 32 levels\n";
  for (const std::size_t levels : {33U, 50'000U}) {
    CHECK(complaint("a = " + repeated("[", levels) + repeated("]", levels) + "\n") == said);
    CHECK(complaint("a = " + repeated("{ b = ", levels) + "1" + repeated("}", levels) + "\n") == said);
  }
  CHECK(complaint("a = " + repeated("[", 32) + repeated("]", 32) + "\n").empty());
}

TEST_CASE("dots and brackets in texts and comments are neither parts of keys nor levels") {
  const std::string many = repeated("a.[{", 100);
  CHECK(complaint("# " + many + "\nword = \"" + many + "\\\"" + many + "\" # " + many + "\n").empty());
  CHECK(complaint("word = '" + many + "'\n[a]\nx = [1.5, 2.5]\n").empty());
  CHECK(complaint("word = \"\"\"" + many + "\n\"\"" + many + "\\\"\"\"\"\"\"\n").empty());
  CHECK(complaint("word = '''" + many + "\n''" + many + "'''''\n").empty());
  CHECK(complaint(repeated("[[a]]\nb.c = 1\n", 100)).empty());
}

TEST_CASE("a file of more than 1 MiB is refused, and is not read to its end") {
  const std::string line = "# " + std::string(1021, 'x') + "\n";
  CHECK(complaint(repeated(line, 1024)).empty());
  CHECK(complaint(repeated(line, 1024) + "\n") == " has more than 1.0 MiB\n");
  double degrees = 0;
  CHECK(parse(degrees, "--config", "/dev/zero") == 2);
}
