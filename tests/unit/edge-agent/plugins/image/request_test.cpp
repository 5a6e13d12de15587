#include "edge-agent/plugins/image/request.hpp"

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tests/support/catch.hpp"

using namespace edgefleet::image;
using nlohmann::json;

namespace {

const json kImage{{"artifact", "sha256-ab"}, {"file", "/s/in/sha256-ab"}};

json with(json fields) {
  if (!fields.contains("image")) fields["image"] = kImage;
  return fields;
}

Request parsed(const std::string& capability, const json& fields) {
  const auto request = parse_request(capability, with(fields), "/s");
  INFO((request ? "" : request.error().message));
  REQUIRE(request);
  return *request;
}

std::string refusal(const std::string& capability, const json& fields) {
  const auto request = parse_request(capability, with(fields), "/s");
  return request ? "accepted" : request.error().message;
}

}  // namespace

TEST_CASE("every filter is a capability, and so is a chain of them") {
  const auto all = capabilities();
  CHECK(std::vector<std::string>(all.begin(), all.end()) ==
        std::vector<std::string>{"image.resize", "image.blur", "image.sharpen", "image.edges", "image.process"});
}

TEST_CASE("a filter has its parameters next to the image, and defaults for the others") {
  const auto blur = parsed("image.blur", {{"radius", 2.5}});
  REQUIRE(blur.steps.size() == 1);
  CHECK(blur.steps[0].filter->name == "blur");
  CHECK(blur.steps[0].values == Values{2.5});
  CHECK(std::get<FileSource>(blur.source).path == "/s/in/sha256-ab");
  CHECK(blur.quality == 85);
  CHECK_FALSE(blur.format);
  CHECK(blur.stem == "result");
  CHECK(parsed("image.edges", json::object()).steps[0].values == Values{50, 150, 1});
  CHECK(parsed("image.resize", {{"width", 800}, {"fit", "cover"}, {"height", 600.0}}).steps[0].values ==
        Values{800, 600, 1});
  CHECK(parsed("image.resize", {{"width", 800}}).steps[0].values == Values{800, std::nullopt, 0});
}

TEST_CASE("a chain keeps the order of its filters") {
  const auto request = parsed("image.process", json::parse(R"({"format":"webp","quality":60,"filters":[
    {"name":"sharpen","intensity":3},{"name":"edges","threshold1":50,"threshold2":150}]})"));
  REQUIRE(request.steps.size() == 2);
  CHECK(request.steps[0].filter->name == "sharpen");
  CHECK(request.steps[1].filter->name == "edges");
  CHECK(request.format == Format::webp);
  CHECK(request.quality == 60);
  CHECK(parsed("image.process", {{"filters", json::array()}, {"format", "png"}}).steps.empty());
}

TEST_CASE("both bounds of every parameter are allowed, and the next value beyond is not") {
  for (const auto& filter : filters()) {
    for (const auto& parameter : filter.parameters) {
      if (!parameter.choices.empty()) continue;
      const std::string name(parameter.name);
      CAPTURE(filter.name, name);
      const auto verdict = [&](double value) { return refusal("image." + std::string(filter.name), {{name, value}}); };
      CHECK(verdict(parameter.low) == "accepted");
      CHECK(verdict(parameter.high) == "accepted");
      CHECK(verdict(parameter.low - 0.01).starts_with(name + " must be a "));
      CHECK(verdict(parameter.high + 1).starts_with(name + " must be a "));
    }
  }
}

TEST_CASE("a refusal names the field and its valid values") {
  using Case = std::tuple<std::string, json, std::string>;
  const std::vector<Case> cases{
      {"image.blur", {{"radius", "2"}}, "radius must be a number from 0.1 to 50"},
      {"image.blur", {{"radius", nullptr}}, "radius must be a number from 0.1 to 50"},
      {"image.blur", {{"raduis", 2}}, "blur has no parameter \"raduis\"; it has radius"},
      {"image.resize", {{"width", 1.5}}, "width must be a whole number from 1 to 16384"},
      {"image.resize", json::object(), "resize needs width or height (1 to 16384), or both"},
      {"image.resize", {{"width", 9}, {"fit", "cover"}}, "fit \"cover\" needs both width and height"},
      {"image.resize", {{"width", 9}, {"fit", "stretch"}}, "fit must be one of inside, cover, exact"},
      {"image.resize", {{"width", 9}, {"fit", 1}}, "fit must be one of inside, cover, exact"},
      {"image.blur", {{"format", "gif"}}, "format must be one of jpeg, png, webp"},
      {"image.blur", {{"format", 1}}, "format must be one of jpeg, png, webp"},
      {"image.blur", {{"quality", 0}}, "quality must be a whole number from 1 to 100"},
      {"image.polish", json::object(),
       "capability must be one of image.resize, image.blur, image.sharpen, image.edges, image.process"},
      {"image.process", json::object(), "filters must be a list of at most 16 objects"},
      {"image.process", {{"filters", 1}}, "filters must be a list of at most 16 objects"},
      {"image.process",
       {{"filters", json::array()}, {"radius", 1}},
       "image.process has no parameter \"radius\"; it has image, filters, format, quality"},
      {"image.process", {{"filters", {1}}}, "filters[0]: must be an object with a name"},
      {"image.process",
       {{"filters", {{{"name", "blur"}}, {{"name", "glow"}}}}},
       "filters[1]: name must be one of resize, blur, sharpen, edges"},
      {"image.process",
       {{"filters", {{{"name", "sharpen"}, {"intensity", 11}}}}},
       "filters[0]: intensity must be a number from 1 to 10"},
      {"image.blur", {{"image", "sha256-ab"}}, "image must be an object with either artifact or base64"},
      {"image.blur", {{"image", json::object()}}, "image must be an object with either artifact or base64"},
      {"image.blur", {{"image", {{"file", "/s/in/x"}}}}, "image must be an object with either artifact or base64"},
      {"image.blur",
       {{"image", {{"artifact", "sha256-ab"}, {"base64", "AAAA"}}}},
       "image must be an object with either artifact or base64"},
      {"image.blur", {{"image", {{"artifact", "sha256-ab"}}}}, "image.artifact has no file in the scratch folder"},
      {"image.blur", {{"image", {{"base64", "A"}}}}, "image.base64 must be base64 of 1 to 184320 bytes"},
      {"image.blur", {{"image", {{"base64", ""}}}}, "image.base64 must be base64 of 1 to 184320 bytes"},
  };
  for (const auto& [capability, fields, message] : cases) {
    CAPTURE(fields.dump());
    CHECK(refusal(capability, fields) == message);
  }
}

TEST_CASE("a chain of too many filters is refused") {
  const json filters(kMostFilters + 1, {{"name", "blur"}});
  CHECK(refusal("image.process", {{"filters", filters}}) == "filters must be a list of at most 16 objects");
}

TEST_CASE("an input that is not an object and an invalid scratch folder are refused") {
  for (const auto& input : {json(), json(1), json("x"), json::array()})
    CHECK_FALSE(parse_request("image.blur", input, "/s"));
  CHECK_FALSE(parse_request("image.blur", with(json::object()), ""));
  CHECK_FALSE(parse_request("image.blur", with(json::object()), "relative"));
}

TEST_CASE("a file outside the scratch folder is never read") {
  for (const char* file : {"/etc/passwd", "/s/../etc/passwd", "/s", "/sx/in/a", "in/a", ""}) {
    CAPTURE(file);
    CHECK(refusal("image.blur", {{"image", {{"artifact", "sha256-ab"}, {"file", file}}}}) ==
          "image.file must be below the scratch folder");
  }
}

TEST_CASE("the result is named after the picture, with harmless characters only") {
  const std::map<std::string, std::string> stems{
      {"beach.png", "beach"}, {"a/b/c d.jpeg", "c_d"},
      {"../../etc", "etc"},   {".hidden", "result"},
      {"", "result"},         {"..", "result"},
      {"x\ny.jpg", "x_y"},    {std::string(300, 'n'), std::string(64, 'n')},
  };
  for (const auto& [name, stem] : stems) {
    CAPTURE(name);
    json image = kImage;
    image["name"] = name;
    CHECK(parsed("image.blur", {{"image", image}}).stem == stem);
  }
}

TEST_CASE("base64 is decoded strictly") {
  CHECK(decode_base64("") == "");
  CHECK(decode_base64("TQ==") == "M");
  CHECK(decode_base64("TWE=") == "Ma");
  CHECK(decode_base64("TWFu") == "Man");
  CHECK(decode_base64("//79/A==") == "\xFF\xFE\xFD\xFC");
  for (const char* bad : {"T", "TQ", "TQ=", "TQ==TQ==", "T=Q=", "TW Fu", "TWF\n", "====", "TWFu\xC3\xA4=="}) {
    CAPTURE(bad);
    CHECK_FALSE(decode_base64(bad));
  }
}

TEST_CASE("an inline picture is bounded by the size of a message") {
  const auto verdict = [](std::size_t bytes) {
    return refusal("image.blur", {{"image", {{"base64", std::string(bytes / 3 * 4, 'A')}}}});
  };
  CHECK(verdict(kMostInline) == "accepted");
  CHECK(verdict(kMostInline + 3) == "image.base64 must be base64 of 1 to 184320 bytes");
}
