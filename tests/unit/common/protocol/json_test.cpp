#include <rapidcheck.h>
#include <nlohmann/json.hpp>

#include "common/protocol/json.hpp"

#include "common/protocol/fields.hpp"
#include "common/protocol/floats.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("a value with more parts than the largest message can have is not taken apart") {
  const auto many = [](char begin, const std::string& part, char end, std::size_t count) {
    std::string text(1, begin);
    for (std::size_t i = 0; i < count; ++i) text += part + ",";
    text.back() = end;
    return text;
  };
  CHECK(json::elements(many('[', "1", ']', json::most_parts))->size() == json::most_parts);
  CHECK_FALSE(json::elements(many('[', "1", ']', json::most_parts + 1)));
  CHECK(json::Object::read(many('{', R"("":1)", '}', json::most_parts)));
  CHECK_FALSE(json::Object::read(many('{', R"("":1)", '}', json::most_parts + 1)));
  const std::string half(json::most_name_bytes / 2, 'x');
  CHECK(json::Object::read(R"({")" + half + R"(":1,"b":2})"));
  CHECK_FALSE(json::Object::read(R"({")" + half + R"(":1,")" + half + R"(":2})"));
  const std::string body = R"({"tasks":)" + many('[', "1", ']', json::most_parts + 1) + "}";
  auto fields = json::Fields::untrusted(body);
  CHECK(fields.array("tasks").empty());
  CHECK(fields.error().message == "`tasks` is not a JSON array of at most 131072 parts");
}

TEST_CASE("a string that cannot fit is refused without being decoded, and one that fits is accepted in any form") {
  const auto read = [](const std::string& text) {
    const std::string body = R"({"name":")" + text + R"("})";
    auto fields = json::Fields::untrusted(body);
    auto name = fields.string("name", 4);
    return name ? *name : fields.error().message;
  };
  CHECK(read(R"(\u0061\u0061\u0061\u0061)") == "aaaa");
  CHECK(read(R"(\ud83d\ude00)") == "\xf0\x9f\x98\x80");
  CHECK(read("aaaaa") == "`name` is longer than 4 bytes");
  CHECK(read(std::string(1000, 'a')) == "`name` is longer than 4 bytes");
}

TEST_CASE("an object is written again without some members, and with another value of one") {
  const auto object = json::Object::read(R"({"b": 1e400,"a":[ {"z":1,"y":2} ],"b":2,"c":"\u0041"})");
  CHECK(json::without(*object, {"a", "x"}) == R"({"b":1e400,"b":2,"c":"\u0041"})");
  CHECK(json::with(*object, "b", "0") == R"({"b":0,"a":[ {"z":1,"y":2} ],"c":"\u0041"})");
  CHECK(json::with(*json::Object::read("{}"), "d", "true") == R"({"d":true})");
}

TEST_CASE("only well-formed JSON of bounded depth is accepted") {
  CHECK(json::well_formed(R"({"a":[1,2.5e3,"x\"}",null,true]})"));
  for (const char* number : {"1e400", "-0.0E+5", "12345678901234567890123", "0", "-1"})
    CHECK(json::well_formed(number));
  for (const char* number : {"", "01", "-", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "Infinity", "1 2"}) {
    INFO(number);
    CHECK_FALSE(json::well_formed(number));
  }
  for (const char* text :
       {R"("\ud83d\ude00")", R"("\u00e4\/\b")", "\"\u00e4\U0001f600\"", " [ ] ", "{ }", R"({"" : 0 })"}) {
    INFO(text);
    CHECK(json::well_formed(text));
  }
  for (const char* text : {R"("\ud83d")",
                           R"("\ude00")",
                           R"("\ud83d\u0041")",
                           R"("\u00g0")",
                           R"("\u+123")",
                           R"("\x")",
                           "\"\\",
                           "\"\xc3\"",
                           "\"\xed\xa0\x80\"",
                           "\"\x01\"",
                           "[1,]",
                           "[,1]",
                           R"({"a":1,})",
                           R"({a:1})",
                           R"({"a" 1})",
                           "[1",
                           "tru",
                           "nulll",
                           "\xEF\xBB\xBF{}",
                           "[1]]",
                           "\"a"}) {
    INFO(text);
    CHECK_FALSE(json::well_formed(text));
  }
  CHECK_FALSE(json::well_formed(std::string_view("[]\0", 3)));
  CHECK(json::well_formed(std::string(72, '[') + std::string(72, ']')));
  CHECK_FALSE(json::well_formed(std::string(73, '[') + std::string(73, ']')));
  CHECK_FALSE(json::well_formed(std::string(200'000, '[')));
  for (const char* bad : {"", "{", "{]", R"({"a":1,})", "nul", "1 2", "\"\xff\"", "{'a':1}"}) {
    INFO(bad);
    CHECK_FALSE(json::well_formed(bad));
  }
}

TEST_CASE("a NUL byte and a byte order mark are refused") {
  using namespace std::string_view_literals;
  for (const auto bad : {"0\0"sv, "{}\0"sv, "{}\0{"sv, "0\n\0.v"sv, "\xEF\xBB\xBF{}"sv, "\"a\0b\""sv}) {
    CHECK_FALSE(json::well_formed(bad));
  }
  CHECK(json::well_formed(R"("a\u0000b")"));
}

TEST_CASE("members and elements are slices of the text") {
  const std::string text = R"( { "a" : [ 1 , {"b":"]}"} ] , "n\u0061me" : "x,y" , "a" : -1.50 } )";
  const auto object = json::Object::read(text);
  REQUIRE(object);
  CHECK(object->find("a") == "-1.50");  // of equal keys the last
  CHECK(object->find("name") == R"("x,y")");
  CHECK_FALSE(object->find("b"));
  const auto elements = json::elements(R"([ 1 , {"b":"]}"} ,[], "" ])");
  REQUIRE(elements);
  CHECK(*elements == std::vector<std::string_view>{"1", R"({"b":"]}"})", "[]", "\"\""});
  CHECK(json::Object::read("{}")->members().empty());
  CHECK(json::elements(" [ ] ")->empty());
  CHECK_FALSE(json::Object::read("[]"));
  CHECK_FALSE(json::elements("{}"));
}

TEST_CASE("any string is unchanged after quoting and parsing") {
  CHECK(rc::check([](const std::string& text) {
    const auto quoted = json::quoted(text);
    RC_ASSERT(json::well_formed(quoted));
    const bool utf8 = json::well_formed('"' + text + '"');
    if (utf8) RC_ASSERT(json::as_string(quoted) == text);
  }));
}

TEST_CASE("slicing agrees with a full parser on any document") {
  // Documents are generated from random numbers, so that they nest and contain every kind of value.
  const std::function<nlohmann::json(std::vector<unsigned>&, int)> grow = [&](std::vector<unsigned>& seeds, int depth) {
    if (seeds.empty()) return nlohmann::json(nullptr);
    const unsigned seed = seeds.back();
    seeds.pop_back();
    switch (depth > 5 ? seed % 4 : seed % 6) {
      case 0:
        return nlohmann::json(seed);
      case 1:
        return nlohmann::json("s\"\\{[,:" + std::to_string(seed));
      case 2:
        return nlohmann::json(seed % 2 == 0);
      case 3:
        return nlohmann::json(0.5 * seed);
      case 4: {
        auto array = nlohmann::json::array();
        for (unsigned i = 0; i < seed % 4; ++i) array.push_back(grow(seeds, depth + 1));
        return array;
      }
      default: {
        auto object = nlohmann::json::object();
        for (unsigned i = 0; i < seed % 4; ++i) object["k" + std::to_string(i)] = grow(seeds, depth + 1);
        return object;
      }
    }
  };
  const std::function<void(std::string_view)> compare = [&](std::string_view text) {
    const auto parsed = nlohmann::json::parse(text);
    if (parsed.is_object()) {
      const auto object = json::Object::read(text);
      RC_ASSERT(object.has_value());
      RC_ASSERT(object->members().size() == parsed.size());
      for (const auto& [key, slice] : object->members()) {
        RC_ASSERT(nlohmann::json::parse(slice) == parsed[key]);
        compare(slice);
      }
    } else if (parsed.is_array()) {
      const auto elements = json::elements(text);
      RC_ASSERT(elements && elements->size() == parsed.size());
      for (std::size_t i = 0; i < parsed.size(); ++i) RC_ASSERT(nlohmann::json::parse((*elements)[i]) == parsed[i]);
    }
  };
  CHECK(rc::check([&](std::vector<unsigned> seeds, bool pretty) { compare(grow(seeds, 0).dump(pretty ? 2 : -1)); }));
}

TEST_CASE("a number that is too close to zero for a double is zero, one that is too large is none") {
  CHECK(json::as_number("1e-400") == 0);
  CHECK(json::as_number("-2.5e0") == -2.5);
  for (const char* none : {"1e400", "-1e400", "", "x", "1x", "null"}) {
    INFO(none);
    CHECK_FALSE(json::as_number(none));
  }
}

TEST_CASE("an array of floats has numbers only, and at least one") {
  CHECK(json::as_floats("[1, -2.5,1e-400]") == std::vector<float>{1, -2.5F, 0});
  for (const char* none : {"[]", "[null]", R"(["1"])", "[1,{}]", "[[1]]", "[true]", "[1e39]", "[1e400]", "1", "{}"}) {
    INFO(none);
    CHECK_FALSE(json::as_floats(none));
  }
}
