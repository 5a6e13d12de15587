#include "common/protocol/schema.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::protocol;

namespace {

// Empty: it is accepted.
std::string says(const std::string& schema, const std::string& input) {
  const auto compiled = Schema::compile(schema);
  if (!compiled) return "schema: " + compiled.error().message;
  const auto checked = compiled->check(input);
  return checked ? "" : checked.error().message;
}

const std::string blur = R"({"type":"object","title":"Blur","properties":{
  "radius":{"type":"number","minimum":0.1,"maximum":50,"default":2},
  "fit":{"enum":["inside","cover"]},
  "name":{"type":"string","minLength":2,"maxLength":3},
  "sizes":{"type":"array","items":{"type":"integer","minimum":1}},
  "image":{"type":"object","required":["artifact"],"additionalProperties":{"type":"string"}}},
  "required":["image"],"additionalProperties":false})";

std::string with(const std::string& members) { return R"({"image":{"artifact":"a"},)" + members + "}"; }

}  // namespace

TEST_CASE("an input that its schema allows is accepted") {
  for (const auto& input :
       {std::string(R"({"image":{"artifact":"a"}})"), with(R"("radius":0.1)"), with(R"( "radius" : 5e1 )"),
        with(R"("fit":"c\u006fver")"), with(R"("name":"\u00e9\u00e9\u00e9")"), with(R"("sizes":[1, 2.0, 1e3])"),
        with(R"("sizes":[])")}) {
    CAPTURE(input);
    CHECK(says(blur, input).empty());
  }
}

TEST_CASE("the error names the place, what is there, and what is allowed") {
  CHECK(says(blur, "7") == "`input` is 7; it must be of type object");
  CHECK(says(blur, "{}") == "`input.image` is missing");
  CHECK(says(blur, "null") == "`input.image` is missing");
  CHECK(says(blur, with(R"("radius":80)")) == "`input.radius` is 80; the maximum is 50");
  CHECK(says(blur, with(R"("radius":0)")) == "`input.radius` is 0; the minimum is 0.1");
  CHECK(says(blur, with(R"("radius":1e999)")) == "`input.radius` is 1e999; the maximum is 50");
  CHECK(says(blur, with(R"("radius":-1e999)")) == "`input.radius` is -1e999; the minimum is 0.1");
  CHECK(says(blur, with(R"("radius":"2")")) == R"(`input.radius` is "2"; it must be of type number)");
  CHECK(says(blur, with(R"("fit":"fill")")) == R"(`input.fit` is "fill"; it must be one of "inside", "cover")");
  CHECK(says(blur, with(R"("name":"x")")) == "`input.name` has 1 characters; the minimum is 2");
  CHECK(says(blur, with(R"("name":"abcd")")) == "`input.name` has 4 characters; the maximum is 3");
  CHECK(says(blur, with(R"("sizes":[1,0])")) == "`input.sizes[1]` is 0; the minimum is 1");
  CHECK(says(blur, with(R"("sizes":[1.5])")) == "`input.sizes[0]` is 1.5; it must be of type integer");
  CHECK(says(blur, with(R"("raduis":2)")) == "`input.raduis` is not a parameter; did you mean `radius`?");
  CHECK(says(blur, R"({"image":{}})") == "`input.image.artifact` is missing");
  CHECK(says(blur, R"({"image":{"artifact":"a","file":1}})") == "`input.image.file` is 1; it must be of type string");
}

TEST_CASE("an omitted input counts as no parameters, unless null is a type of its own") {
  CHECK(says(R"({"type":"object"})", "null").empty());
  CHECK(says(R"({"type":["object","null"],"required":["x"]})", "null").empty());
  CHECK(says(R"({"type":"string"})", "null") == "`input` is null; it must be of type string");
  CHECK(says(R"({})", "null").empty());
}

TEST_CASE("an element of enum is compared by its value, not by its text") {
  const std::string schema = R"({"enum":[{"x": 1, "y":[true,"\u00e9"]},[1],1.50,"a\/b"]})";
  for (const char* input : {R"({ "y" : [ true , "é" ],"x":1.0 })", R"({"x":7,"x":1e0,"y":[true,"é"]})", "[1.0]",
                            "[ 10e-1 ]", "15e-1", R"("a/b")"}) {
    CHECK(says(schema, input).empty());
  }
  for (const char* input : {R"({"x":1})", R"({"x":1,"y":[true,"e"]})", R"({"x":1,"y":[true,"é"],"z":0})", "[1,1]", "[]",
                            "[[1]]", R"(["1"])", "1", R"("1.5")", "[true]"}) {
    CAPTURE(input);
    CHECK(says(schema, input).find("it must be one of") != std::string::npos);
  }
}

TEST_CASE("bounds are compared exactly, however large or small a number is") {
  const std::string schema = R"({"type":"number","minimum":0,"maximum":9007199254740993})";
  for (const char* input : {"1e-400", "0.0", "-0", "9007199254740993", "9007199254740993.0", "9007199254740992.999"}) {
    CHECK(says(schema, input).empty());
  }
  CHECK(says(schema, "-1e-400") == "`input` is -1e-400; the minimum is 0");
  CHECK(says(schema, "9007199254740994") == "`input` is 9007199254740994; the maximum is 9007199254740993");
  CHECK(says(schema, "1e99999999999999999999") == "`input` is 1e99999999999999999999; the maximum is 9007199254740993");
  CHECK(says(schema, "-1e400") == "`input` is -1e400; the minimum is 0");
  CHECK(says(R"({"type":"integer","maximum":1e400})", "1e399").empty());
  CHECK(says(R"({"type":"integer"})", "1.5e1").empty());
  CHECK(says(R"({"type":"integer"})", "1e-400") == "`input` is 1e-400; it must be of type integer");
}

TEST_CASE("unknown keywords are ignored, malformed known ones are refused") {
  CHECK(says(R"({"pattern":7,"oneOf":[],"$ref":"#/x","if":{}})", "5").empty());
  CHECK(says(R"({"properties":{"a":true}})", R"({"a":1})").empty());
  for (const char* schema : {"", "[]", "7", "{", R"({"type":7})", R"({"type":"thing"})", R"({"type":[]})",
                             R"({"type":["string",1]})", R"({"properties":[]})", R"({"properties":{"a":5}})",
                             R"({"required":"a"})", R"({"required":[1]})", R"({"enum":[]})", R"({"minimum":"0"})",
                             R"({"maxLength":-1})", R"({"items":[]})", R"({"additionalProperties":3})"}) {
    CAPTURE(schema);
    CHECK_FALSE(Schema::compile(schema));
  }
  CHECK(Schema::compile(R"({"properties":{"a":{"type":7}}})").error().message ==
        "schema.properties.a.type is not a type, or an array of types");
  CHECK_FALSE(Schema::compile(R"({"title":")" + std::string(most_schema_bytes, 'x') + "\"}"));
}
