// A flat field keeps its colour: pictures of every kind, through every filter.
#include "edge-agent/plugins/image/colour.hpp"

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "edge-agent/plugins/image/picture.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/plugins/image/pictures.hpp"

using namespace edgefleet::image;
using namespace edgefleet::image::test;
using nlohmann::json;
using vips::VImage;

namespace {

using Colour = std::vector<double>;

constexpr int kWidth = 48;
constexpr int kHeight = 32;

VImage flat(const Colour& colour, VipsBandFormat format = VIPS_FORMAT_UCHAR,
            VipsInterpretation interpretation = VIPS_INTERPRETATION_sRGB) {
  const auto black = VImage::black(kWidth, kHeight, VImage::option()->set("bands", static_cast<int>(colour.size())));
  return black.linear(Colour(colour.size(), 1), colour)
      .cast(format)
      .copy(VImage::option()->set("interpretation", interpretation));
}

VImage with_profile(const VImage& picture, const char* name) {
  VipsBlob* profile = nullptr;
  REQUIRE(vips_profile_load(name, &profile, nullptr) == 0);
  VImage copy = picture.copy();
  size_t size = 0;
  const void* bytes = vips_blob_get(profile, &size);
  vips_image_set_blob_copy(copy.get_image(), VIPS_META_ICC_NAME, bytes, size);
  vips_area_unref(VIPS_AREA(profile));
  return copy;
}

// The same colours in the space of another device, its profile attached.
VImage in_device(const VImage& srgb, const char* device, int depth) {
  return with_profile(srgb, "srgb").icc_transform(device, VImage::option()->set("embedded", true)->set("depth", depth));
}

json step(const char* name, json values = json::object()) {
  values["name"] = name;
  return values;
}

// Chains of filters that must not change a flat field. What a filter changes adds up over its repeats.
std::vector<json> chains() {
  json up_and_down = json::array();
  for (int i = 0; i < 8; ++i) {
    up_and_down.push_back(step("resize", {{"width", 150}}));
    up_and_down.push_back(step("resize", {{"width", 31}}));
  }
  std::vector<json> all{json::array(), up_and_down};
  for (const auto& filter : {step("resize", {{"width", 40}}), step("resize", {{"width", 7}}),
                             step("resize", {{"width", 50}, {"height", 50}, {"fit", "cover"}}),
                             step("resize", {{"width", 13}, {"height", 99}, {"fit", "exact"}})}) {
    all.push_back(json::array({filter}));
  }
  for (const auto& filter : {step("blur", {{"radius", 0.1}}), step("blur", {{"radius", 2}}),
                             step("blur", {{"radius", 50}}), step("sharpen", {{"intensity", 10}})}) {
    all.push_back(json(16, filter));
  }
  return all;
}

struct Kind {
  std::string file;
  std::function<void(const std::string& path)> write;
  Colour expected;
  double tolerance = 1;  // more where the conversion of the colours itself rounds
};

// Runs the chain on the file; the result is read back from a PNG.
VImage result_of(const Scratch& scratch, const std::string& file, const json& chain) {
  const json input{
      {"image", {{"artifact", "sha256-ab"}, {"file", scratch.in(file)}}}, {"filters", chain}, {"format", "png"}};
  const auto request = parse_request("image.process", input, scratch.path());
  REQUIRE(request.ok());
  const auto outcome = process(*request, Limits{}, [](int, std::string_view) {});
  if (const auto* failure = std::get_if<Failure>(&outcome)) FAIL(failure->message);
  return read(scratch.path() + "/" + std::get<json>(outcome)["image"]["file"].get<std::string>());
}

double farthest(const VImage& picture, const Colour& expected) {
  REQUIRE(static_cast<std::size_t>(picture.bands()) == expected.size());
  double most = 0;
  for (std::size_t band = 0; band < expected.size(); ++band) {
    const auto values = picture.extract_band(static_cast<int>(band));
    most = std::max({most, std::abs(values.min() - expected[band]), std::abs(values.max() - expected[band])});
  }
  return most;
}

void check_kind(const Kind& kind) {
  const Scratch scratch;
  kind.write(scratch.in(kind.file));
  for (const auto& chain : chains()) {
    CAPTURE(kind.file, chain.dump().substr(0, 200), chain.size());
    CHECK(farthest(result_of(scratch, kind.file, chain), kind.expected) <= kind.tolerance);
  }
}

const Colour kBlue{0, 0, 255};
const Colour kSky{60, 120, 200};

void save_png(const VImage& picture, const std::string& path) { picture.pngsave(path.c_str()); }

}  // namespace

TEST_CASE("a flat field in sRGB keeps its colour through every filter") {
  start_vips_once();
  for (const Colour& colour : {kBlue, kSky, Colour{255, 255, 255}, Colour{0, 0, 0}, Colour{255, 0, 0},
                               Colour{0, 255, 0}, Colour{1, 254, 128}, Colour{77}, Colour{255}}) {
    const auto kind = colour.size() == 1 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    check_kind({"flat.png", [&](const auto& path) { save_png(flat(colour, VIPS_FORMAT_UCHAR, kind), path); }, colour});
  }
}

TEST_CASE("a flat field with a profile has the colour that the profile gives it") {
  start_vips_once();
  check_kind({"srgb.png", [](const auto& path) { save_png(with_profile(flat(kBlue), "srgb"), path); }, kBlue});
  check_kind({"white.png",
              [](const auto& path) { save_png(with_profile(flat({255, 255, 255}), "srgb"), path); },
              {255, 255, 255}});
  check_kind({"wide.png", [](const auto& path) { save_png(in_device(flat(kSky), "p3", 8), path); }, kSky});
  check_kind({"wide16.png", [](const auto& path) { save_png(in_device(flat(kBlue), "p3", 16), path); }, kBlue, 2});
  check_kind(
      {"wide.jpg",
       [](const auto& path) { in_device(flat(kSky), "p3", 8).jpegsave(path.c_str(), VImage::option()->set("Q", 100)); },
       kSky, 2});
}

TEST_CASE("a flat field in CMYK, with a profile or without, has the same colour through every filter") {
  start_vips_once();
  const auto tiff = [](const VImage& picture) {
    return [picture](const std::string& path) { picture.tiffsave(path.c_str()); };
  };
  const auto paper = flat({0, 0, 0, 0}, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_CMYK);
  check_kind({"paper.tif", tiff(paper), {255, 255, 255}});
  check_kind({"paper_with_profile.tif", tiff(with_profile(paper, "cmyk")), {255, 255, 255}});
  const Colour stone{120, 130, 140};  // a colour that inks can print
  const auto printed = in_device(flat(stone), "cmyk", 8);
  const Colour seen = printed.icc_transform("srgb", VImage::option()->set("embedded", true))(0, 0);
  check_kind({"printed.tif", tiff(printed), seen});
  auto bare = printed.copy_memory();
  bare.remove(VIPS_META_ICC_NAME);
  check_kind({"bare.tif", tiff(bare), seen});
}

TEST_CASE("a profile for another kind of picture is ignored") {
  start_vips_once();
  const auto grey = flat({140}, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_B_W);
  check_kind({"grey.png", [&](const auto& path) { save_png(with_profile(grey, "srgb"), path); }, {140}});
  check_kind({"grey.jpg", [&](const auto& path) { with_profile(grey, "p3").jpegsave(path.c_str()); }, {140}});
  check_kind({"sky.tif", [&](const auto& path) { with_profile(flat(kSky), "cmyk").tiffsave(path.c_str()); }, kSky});
  const auto paper = flat({0, 0, 0, 0}, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_CMYK);
  check_kind(
      {"paper.tif", [&](const auto& path) { with_profile(paper, "srgb").tiffsave(path.c_str()); }, {255, 255, 255}});
}

TEST_CASE("a flat field of 16 bits, of floats or in another colour space keeps its colour") {
  start_vips_once();
  const auto deep = [](const Colour& colour) {
    Colour all;
    for (const double value : colour) all.push_back(value * 257);
    return flat(all, VIPS_FORMAT_USHORT, colour.size() < 3 ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_RGB16);
  };
  const auto tiff = [](const VImage& picture) {
    return [picture](const std::string& path) { picture.tiffsave(path.c_str()); };
  };
  check_kind({"deep.png", [&](const auto& path) { save_png(deep(kSky), path); }, kSky});
  check_kind({"deep_grey.png", [&](const auto& path) { save_png(deep({90}), path); }, {90}});
  check_kind(
      {"deep_alpha.png", [&](const auto& path) { save_png(deep({60, 120, 200, 128}), path); }, {60, 120, 200, 128}});
  check_kind({"deep_alpha_profile.png",
              [&](const auto& path) { save_png(with_profile(deep({60, 120, 200, 128}), "srgb"), path); },
              {60, 120, 200, 128}});
  check_kind({"float.tif", tiff(flat(kSky).colourspace(VIPS_INTERPRETATION_scRGB)), kSky});
  check_kind({"float_grey.tif",
              tiff(flat({0.2140411}, VIPS_FORMAT_FLOAT, VIPS_INTERPRETATION_B_W)),  // 127.5 of 255, in linear light
              {127.5}});
  check_kind({"lab.tif", tiff(flat(kSky).colourspace(VIPS_INTERPRETATION_LAB)), kSky});
}

TEST_CASE("a flat field with alpha keeps colour and alpha, also if it is almost clear") {
  start_vips_once();
  for (const double alpha : {128.0, 1.0}) {
    const Colour colour{60, 120, 200, alpha};
    check_kind({"alpha.png", [&](const auto& path) { save_png(flat(colour), path); }, colour});
    check_kind(
        {"grey_alpha.png",
         [&](const auto& path) { save_png(flat({140, alpha}, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_B_W), path); },
         {140, alpha}});
  }
  check_kind({"alpha.webp",
              [](const auto& path) {
                flat({60, 120, 200, 100}).webpsave(path.c_str(), VImage::option()->set("lossless", true));
              },
              {60, 120, 200, 100}});
  check_kind({"associated.tif",
              [](const auto& path) {
                flat({60, 120, 200, 100}).tiffsave(path.c_str(), VImage::option()->set("premultiply", true));
              },
              {60, 120, 200, 100},
              2});
}

TEST_CASE("a flat field of a palette or of an animation keeps its colour") {
  start_vips_once();
  check_kind({"palette.png",
              [](const auto& path) { flat(kSky).pngsave(path.c_str(), VImage::option()->set("palette", true)); },
              kSky});
  const auto frames = [] {
    auto all = flat(kSky).join(flat(kBlue), VIPS_DIRECTION_VERTICAL);
    all.set("page-height", kHeight);
    return all;
  };
  const Scratch scratch;
  frames().gifsave(scratch.in("film.gif").c_str());
  frames().webpsave(scratch.in("film.webp").c_str(), VImage::option()->set("lossless", true));
  for (const char* film : {"film.gif", "film.webp"}) {
    for (const auto& chain : chains()) {
      CAPTURE(film, chain.dump().substr(0, 200));
      const auto first_frame = result_of(scratch, film, chain);
      CHECK(farthest(first_frame.extract_band(0, VImage::option()->set("n", 3)), kSky) <= 1);
      CHECK((first_frame.bands() == 3 || first_frame.extract_band(3).min() == 255));
    }
  }
}

TEST_CASE("a blur of any radius does not change any grey") {
  start_vips_once();
  for (const double radius : {0.1, 0.5, 0.7, 1.0, 2.0, 3.3, 7.9, 8.0, 12.0, 16.0, 33.0, 50.0}) {
    for (int value = 0; value < 256; value += 15) {
      const Colour grey{static_cast<double>(value)};
      const auto picture = flat(grey, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_B_W).crop(0, 0, 20, 20);
      CAPTURE(radius, value);
      CHECK(farthest(find_filter("blur")->apply(picture, {radius}).copy_memory(), grey) == 0);
    }
  }
}

TEST_CASE("samples that cannot be converted are refused with their type") {
  start_vips_once();
  CHECK(unknown_samples(flat(kSky)).empty());
  CHECK(unknown_samples(flat(kSky, VIPS_FORMAT_INT)).find("\"int\"") != std::string::npos);
}
