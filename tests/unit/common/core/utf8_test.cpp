#include "common/core/utf8.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;

namespace {

const std::string replacement = "\xEF\xBF\xBD";

// Characters of all lengths: a cut must not split one.
const std::string mixed = "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z";  // of 1, 2, 3, 4 and 1 bytes

}  // namespace

TEST_CASE("bytes that are not UTF-8 are replaced, one by one") {
  CHECK(valid_utf8(mixed) == mixed);
  CHECK(valid_utf8("\xFFx\xC3") == replacement + "x" + replacement);
  CHECK(valid_utf8("\xC0\x80") == replacement + replacement);                    // an overlong encoding
  CHECK(valid_utf8("\xED\xA0\x80") == replacement + replacement + replacement);  // a surrogate
  CHECK(valid_utf8("\xF5\x80\x80\x80").size() == 12);                            // past the last character
  CHECK(valid_utf8("") == "");
}

TEST_CASE("of all pairs of bytes, exactly the well-formed ones are unchanged") {
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const std::string pair{static_cast<char>(first), static_cast<char>(second)};
      const bool two_characters = first < 0x80 && second < 0x80;
      const bool one_character = first >= 0xC2 && first <= 0xDF && second >= 0x80 && second <= 0xBF;
      const std::string made = valid_utf8(pair);
      INFO(first << " " << second);
      REQUIRE((made == pair) == (two_characters || one_character));
      REQUIRE(valid_utf8(made) == made);
    }
  }
}

TEST_CASE("a text is cut between two characters, at either end and at any length") {
  for (std::size_t most = 0; most <= mixed.size() + 1; ++most) {
    INFO(most);
    const auto front = cut_front(mixed, most);
    const auto back = cut_back(mixed, most);
    CHECK(front.size() <= most);
    CHECK(back.size() <= most);
    CHECK(front.size() + 4 > std::min(most, mixed.size()));  // no more is lost than a part of one character
    CHECK(back.size() + 4 > std::min(most, mixed.size()));
    CHECK(mixed.starts_with(front));
    CHECK(mixed.ends_with(back));
    CHECK(valid_utf8(front) == front);
    CHECK(valid_utf8(back) == back);
  }
  CHECK(cut_front("a\xC3\xA4", 2) == "a");
  CHECK(cut_front("a\xC3\xA4", 3) == "a\xC3\xA4");
  CHECK(cut_back("\xC3\xA4z", 2) == "z");
}

TEST_CASE("bytes that are not text are cut to the bound too") {
  const std::string rubbish(100, '\x80');
  CHECK(cut_front(rubbish, 10).size() <= 10);
  CHECK(cut_back(rubbish, 10).size() <= 10);
}
