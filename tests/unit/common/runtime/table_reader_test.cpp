#include "common/runtime/table_reader.hpp"

#include <array>
#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;

namespace {

struct Values {
  std::string text = "as it was";
  std::int64_t number = 1;
  bool flag = false;
  std::optional<std::int64_t> some;
  std::optional<double> share;
  std::vector<std::string> list;
  std::map<std::string, std::string> strings;
  std::vector<TomlScalar> choices;
  std::optional<TomlScalar> any;
};

struct Read {
  Values values;
  std::string problem;  // empty: none
};

Read read(const std::string& text) {
  const auto table = toml::parse(text);
  const std::string file = "test.toml";
  TableReader reader(file, "[test]", table);
  Read result;
  reader.read("text", result.values.text);
  reader.read("number", result.values.number);
  reader.read("flag", result.values.flag);
  reader.read("some", result.values.some);
  reader.read_number("share", result.values.share);
  reader.read_list("list", result.values.list);
  reader.read_strings("strings", result.values.strings);
  reader.read_choices("choices", result.values.choices);
  result.values.any = reader.scalar("any");
  if (const auto good = reader.finish(); !good) result.problem = good.error().message;
  return result;
}

// A configuration with this file, from which [[one]] and [many] are read.
std::string tables_problem(const std::string& text) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/test.toml";
  std::ofstream(path) << text;
  Configuration configuration("A test.", "test");
  configuration.allow_table("one");
  configuration.allow_table("many");
  const std::array<const char*, 3> arguments{"test", "--config", path.c_str()};
  REQUIRE_FALSE(configuration.parse(arguments.size(), arguments.data()));
  if (const auto one = table_of(configuration, "one"); !one)
    return one.error().message.substr(folder.path().size() + 1);
  const auto many = tables_of(configuration, "many");
  return many ? std::to_string(many->size()) : many.error().message.substr(folder.path().size() + 1);
}

}  // namespace

TEST_CASE("each kind of value is read, and an absent one leaves its target unchanged") {
  const auto all = read(R"(
text = "t"
number = 2
flag = true
some = 3
share = 4
list = ["a", "b"]
strings = { key = "value" }
choices = ["x", 1, 2.5, true]
any = 7
)");
  CHECK(all.problem.empty());
  CHECK(all.values.text == "t");
  CHECK(all.values.number == 2);
  CHECK(all.values.flag);
  CHECK(all.values.some == 3);
  CHECK(all.values.share == 4.0);
  CHECK(all.values.list == std::vector<std::string>{"a", "b"});
  CHECK(all.values.strings == std::map<std::string, std::string>{{"key", "value"}});
  CHECK(all.values.choices == std::vector<TomlScalar>{std::string("x"), std::int64_t{1}, 2.5, true});
  CHECK(all.values.any == TomlScalar{std::int64_t{7}});
  const auto none = read("");
  CHECK(none.problem.empty());
  CHECK(none.values.text == "as it was");
  CHECK_FALSE(none.values.some.has_value());
  CHECK_FALSE(none.values.any.has_value());
}

TEST_CASE("a problem is reported with file, line, table and the required type") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"text = 1", "`text` must be a string"},
      {"number = 'x'", "`number` must be a whole number"},
      {"number = 1.5", "`number` must be a whole number"},
      {"flag = 'true'", "`flag` must be true or false"},
      {"share = 'x'", "`share` must be a number"},
      {"share = true", "`share` must be a number"},
      {"list = 'x'", "`list` must be a list"},
      {"list = [1]", "`list` must be a list, each element a string"},
      {"strings = 1", "`strings` must be a table"},
      {"strings = { k = 1 }", "`strings.k` must be a string"},
      {"choices = []", "`choices` is empty, which would allow nothing"},
      {"choices = [['x']]", "`choices` must be a list, each element a string, a number, or true or false"},
      {"any = []", "`any` must be a string, a number, or true or false"},
      {"other = 1", "unknown key `other`"},
  };
  for (const auto& [line, problem] : cases) {
    INFO(line);
    CHECK(read("\n\n" + line).problem == "test.toml, line 3: [test]: " + problem);
  }
}

TEST_CASE("the first problem is reported") {
  CHECK(read("number = 'x'\ntext = 1").problem == "test.toml, line 2: [test]: `text` must be a string");
}

TEST_CASE("an absent required key is a problem of its table") {
  const auto table = toml::parse("x = 1");
  const std::string file = "test.toml";
  TableReader reader(file, "[[command]]", table);
  reader.need("x");
  reader.need("name");
  const auto done = reader.finish();
  REQUIRE_FALSE(done);
  CHECK(done.error().message == "test.toml, line 1: [[command]]: `name` is missing");
}

TEST_CASE("tables of a file are found, and an error for another form has the valid one") {
  CHECK(tables_problem("") == "0");
  CHECK(tables_problem("[one]\n[[many]]\n[[many]]\n") == "2");
  CHECK(tables_problem("one = 1\n") == "test.toml, line 1: `one` must be a table: write [one]");
  CHECK(tables_problem("\n[many]\n") == "test.toml, line 2: `many` must be a list of tables: write [[many]]");
  CHECK(tables_problem("many = [1]\n") == "test.toml, line 1: `many` must be a list of tables: write [[many]]");
}
