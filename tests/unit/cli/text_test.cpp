#include "cli/core/text.hpp"
#include "cli/core/table.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet::cli;

TEST_CASE("foreign text cannot control the terminal") {
  CHECK(printable("a\x1b[31mb\tc\nd\x7f") == "a [31mb c d ");
  CHECK(printable("x\xC2\x9By") == "x y");  // the two-byte form of the escape sequence introducer
  CHECK(printable("grün ✓") == "grün ✓");
  // Controls of the direction: "invoice<RLO>gpj.exe" is shown as "invoiceexe.jpg".
  for (const char* control :
       {"\xD8\x9C", "\xE2\x80\x8E", "\xE2\x80\x8F", "\xE2\x80\xAA", "\xE2\x80\xAE", "\xE2\x81\xA6", "\xE2\x81\xA9"}) {
    CHECK(printable(std::string("invoice") + control + "gpj.exe") == "invoice gpj.exe");
  }
  for (const char* other : {"שלום", "\xE2\x80\x8D", "\xE2\x80\xB0", "\xE2\x82\xAC", "\xE2\x80", "\xE2"}) {
    CHECK(printable(other) == other);
  }
}

TEST_CASE("text is cut by columns, never within a character") {
  CHECK(fit("hello", 5) == "hello");
  CHECK(fit("hello!", 5) == "hell…");
  CHECK(fit("grüße an alle", 4) == "grü…");
  CHECK(fit("abc", 0).empty());
  CHECK(width_of("grüße") == 5);
}

TEST_CASE("a full stop is added only if punctuation is missing") {
  CHECK(sentence("no") == "no.");
  CHECK(sentence("no?") == "no?");
}

TEST_CASE("the columns of a table are aligned, and lines have no trailing spaces") {
  Table table{{{"NAME"}, {"N", true}, {"NOTE"}}, {{"a", "1", "x"}, {"longer", "1,000", ""}}};
  CHECK(render(table, {}) ==
        "NAME        N  NOTE\n"
        "a           1  x\n"
        "longer  1,000\n");
}

TEST_CASE("a column that is empty in every row is omitted") {
  Table table{{{"A"}, {"B"}, {"C"}}, {{"1", "", "2"}}};
  CHECK(render(table, {}) == "A  C\n1  2\n");
}

TEST_CASE("in a table that is too wide the columns that may shrink are cut") {
  Table table{{{"ID"}, {"WHAT", false, true}}, {{"0123456789", "a long explanation of it all"}}};
  const auto text = render(table, {30, false, {}});
  CHECK(text == "ID          WHAT\n0123456789  a long explanatio…\n");
  CHECK(render(table, {17, false, {}}) == "ID          WHAT\n0123456789  a lo…\n");  // less than the column wants
  CHECK(render(table, {6, false, {}}) == "ID\n01234…\n");
}

TEST_CASE("colour does not count in the width of a cell") {
  Table table{{{"S"}, {"T"}}, {{{"up", Style::good}, "1"}, {"down", "2"}}};
  CHECK(render(table, {0, true, {}}) == "\x1b[1mS\x1b[0m     \x1b[1mT\x1b[0m\n\x1b[32mup\x1b[0m    1\ndown  2\n");
}
