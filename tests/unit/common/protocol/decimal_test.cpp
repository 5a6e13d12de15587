#include "common/protocol/decimal.hpp"

#include <array>
#include <limits>
#include <utility>

#include "tests/support/catch.hpp"

using namespace edgefleet::json;

TEST_CASE("a number has one value, however it is written") {
  constexpr std::array<std::pair<const char*, const char*>, 7> same{{{"1", "1.0"},
                                                                     {"1", "10e-1"},
                                                                     {"0", "-0.00e99"},
                                                                     {"-120", "-1.2E+2"},
                                                                     {"0.05", "5e-2"},
                                                                     {"1e400", "0.1e401"},
                                                                     {"100", "1e2"}}};
  for (const auto& [a, b] : same) {
    CAPTURE(a, b);
    CHECK(*Decimal::read(a) == *Decimal::read(b));
    CHECK(Decimal::read(a)->canonical() == Decimal::read(b)->canonical());
  }
}

TEST_CASE("numbers are ordered by their value") {
  const char* const ascending[] = {"-1e99999999999999999999",
                                   "-1e400",
                                   "-12",
                                   "-1.2",
                                   "-1e-400",
                                   "0",
                                   "1e-99999999999999999999",
                                   "1e-400",
                                   "0.1",
                                   "1.2",
                                   "9",
                                   "12",
                                   "123",
                                   "9007199254740992",
                                   "9007199254740993",
                                   "1e400",
                                   "1e99999999999999999999"};
  for (std::size_t i = 0; i + 1 < std::size(ascending); ++i) {
    CAPTURE(ascending[i], ascending[i + 1]);
    CHECK(*Decimal::read(ascending[i]) < *Decimal::read(ascending[i + 1]));
    CHECK(*Decimal::read(ascending[i + 1]) > *Decimal::read(ascending[i]));
  }
}

TEST_CASE("an integer has no fraction, and a bound") {
  CHECK(Decimal::read("1e2")->as_integer() == 100);
  CHECK(Decimal::read("-3.0")->as_integer() == -3);
  CHECK(Decimal::read("-0")->as_integer() == 0);
  CHECK(Decimal::read("9223372036854775807")->as_integer() == std::numeric_limits<std::int64_t>::max());
  CHECK(Decimal::read("-9223372036854775808")->as_integer() == std::numeric_limits<std::int64_t>::min());
  for (const char* other : {"1.5", "1e-400", "9223372036854775808", "1e19", "1e400", "1e99999999999999999999"}) {
    CAPTURE(other);
    CHECK_FALSE(Decimal::read(other)->as_integer());
  }
  CHECK(Decimal::read("1e400")->whole());
  CHECK_FALSE(Decimal::read("0.1")->whole());
}

TEST_CASE("what is no number has no value") {
  for (const char* text : {"", "-", "inf", "-inf", "nan", "\"1\"", "true", "[1]", "{}"}) {
    CAPTURE(text);
    CHECK_FALSE(Decimal::read(text));
  }
}
