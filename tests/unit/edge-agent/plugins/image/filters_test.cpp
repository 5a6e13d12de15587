#include "edge-agent/plugins/image/filters.hpp"

#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/plugins/image/pictures.hpp"

using namespace edgefleet::image;
using namespace edgefleet::image::test;
using vips::VImage;

namespace {

VImage apply(const char* name, const VImage& picture, const Values& values) {
  return find_filter(name)->apply(picture, values).copy_memory();
}

Size size_of(const VImage& picture) { return {picture.width(), picture.height()}; }

std::string connected(const std::string& rows, std::size_t width) {
  std::vector<std::uint8_t> classes;
  for (const char c : rows) classes.push_back(c == 'S' ? 3 : c == 'w' ? 1 : 0);
  keep_connected(classes, width, classes.size() / width);
  std::string kept;
  for (const auto pixel : classes) kept.push_back(pixel == 255 ? '#' : pixel == 0 ? '.' : '?');
  return kept;
}

constexpr double kInside = 0;
constexpr double kCover = 1;
constexpr double kExact = 2;

}  // namespace

TEST_CASE("resize fits, covers or stretches, up and down") {
  start_vips_once();
  struct Case {
    Size before;
    Values values;
    Size after;
  };
  const std::vector<Case> cases{
      {{400, 300}, {200, std::nullopt, kInside}, {200, 150}}, {{400, 300}, {std::nullopt, 100, kInside}, {133, 100}},
      {{400, 300}, {100, 100, kInside}, {100, 75}},           {{300, 400}, {100, 100, kInside}, {75, 100}},
      {{400, 300}, {100, 100, kCover}, {100, 100}},           {{400, 300}, {100, 50, kExact}, {100, 50}},
      {{400, 300}, {800, std::nullopt, kExact}, {800, 600}},  {{40, 30}, {80, 80, kInside}, {80, 60}},
      {{1000, 2}, {10, std::nullopt, kInside}, {10, 1}},
  };
  for (const auto& [before, values, after] : cases) {
    CAPTURE(before.width, before.height, after.width, after.height);
    CHECK(size_after(*find_filter("resize"), values, before) == after);
    const auto picture = coloured(static_cast<int>(before.width), static_cast<int>(before.height));
    CHECK(size_of(apply("resize", picture, values)) == after);
  }
}

TEST_CASE("a stronger blur makes an edge flatter, on both sides of the radius at which its method changes") {
  start_vips_once();
  const auto picture = half_black_half_white(400, 60);
  double last = 256;
  for (const double radius : {0.1, 1.0, 4.0, 7.9, 8.1, 15.9, 16.1, 30.0, 50.0}) {
    const auto blurred = apply("blur", picture, {radius});
    CAPTURE(radius);
    CHECK(size_of(blurred) == Size{400, 60});
    const double step = blurred(202, 30)[0] - blurred(197, 30)[0];
    CHECK(step < last + 3);
    CHECK(blurred.avg() == Approx(127.5).margin(2));
    last = step;
  }
  CHECK(last < 30);
}

TEST_CASE("every filter accepts a picture of a few pixels") {
  start_vips_once();
  for (const auto& size : {Size{1, 1}, Size{3, 1}, Size{1, 7}, Size{2, 2}}) {
    CAPTURE(size.width, size.height);
    const auto picture = coloured(static_cast<int>(size.width), static_cast<int>(size.height));
    for (const double radius : {0.1, 5.0, 50.0}) CHECK(size_of(apply("blur", picture, {radius})) == size);
    CHECK(size_of(apply("sharpen", picture, {10})) == size);
    CHECK(size_of(apply("edges", picture, {50, 150, 1})) == size);
  }
}

TEST_CASE("blur does not let the colour of transparent pixels bleed out") {
  start_vips_once();
  const auto white = VImage::black(20, 20, VImage::option()->set("bands", 3)) + 255;
  const auto clear_black = VImage::black(20, 20, VImage::option()->set("bands", 4));
  const auto picture = white.bandjoin(255)
                           .join(clear_black, VIPS_DIRECTION_HORIZONTAL)
                           .cast(VIPS_FORMAT_UCHAR)
                           .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB));
  const auto pixel = apply("blur", picture, {3})(20, 10);
  CHECK(pixel[0] > 245);
  CHECK(pixel[3] == Approx(127).margin(40));
}

TEST_CASE("sharpen does not see the colour of transparent pixels") {
  start_vips_once();
  const auto grey = VImage::black(20, 20, VImage::option()->set("bands", 3)) + 128;
  const auto beside = [&](double hidden) {
    return grey.bandjoin(255)
        .join((VImage::black(20, 20, VImage::option()->set("bands", 3)) + hidden).bandjoin(0),
              VIPS_DIRECTION_HORIZONTAL)
        .cast(VIPS_FORMAT_UCHAR)
        .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB));
  };
  for (const double hidden : {0.0, 255.0}) {
    const auto sharp = apply("sharpen", beside(hidden), {10});
    CAPTURE(hidden);
    CHECK(sharp(19, 10)[0] == Approx(128).margin(1));
    CHECK(sharp(19, 10)[3] == 255);
    CHECK(sharp(20, 10)[3] == 0);
  }
}

TEST_CASE("sharpen raises the contrast of an edge with its intensity, and does not change flat areas") {
  start_vips_once();
  const auto soft = apply("blur", half_black_half_white(100, 40) / 255 * 100 + 80, {1.5})
                        .cast(VIPS_FORMAT_UCHAR)
                        .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_B_W));
  double last = soft.max() - soft.min();
  for (const double intensity : {1.0, 3.0, 10.0}) {
    const auto sharp = apply("sharpen", soft, {intensity});
    CAPTURE(intensity);
    CHECK(sharp.max() - sharp.min() > last);
    CHECK(sharp(5, 20)[0] == Approx(soft(5, 20)[0]).margin(1));
    last = sharp.max() - sharp.min();
  }
}

TEST_CASE("edges draws one white line where the brightness jumps, and nothing elsewhere") {
  start_vips_once();
  const auto lines = apply("edges", half_black_half_white(64, 32), {50, 150, 1});
  CHECK(lines.bands() == 1);
  CHECK(lines.avg() * 64 / 255 == Approx(1).margin(0.1));
  CHECK(lines(5, 16)[0] == 0);
  CHECK(lines(60, 16)[0] == 0);
  CHECK(apply("edges", VImage::black(16, 16), {0, 0, 1}).max() == 0);
}

TEST_CASE("the thresholds of edges are gradients of a Sobel operator, in either order") {
  start_vips_once();
  // Brightness rises by 10 a pixel on a slope of 8 pixels: 4 x 2 x 10 = 80 in the middle of it.
  const auto across = VImage::xyz(64, 32).extract_band(0);
  const auto slope = (((across >= 28) & (across < 36)).ifthenelse((across - 28) * 10, (across >= 36).ifthenelse(80, 0)))
                         .cast(VIPS_FORMAT_UCHAR)
                         .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_B_W));
  CHECK(apply("edges", slope, {60, 70, 0.5}).max() == 255);
  CHECK(apply("edges", slope, {70, 60, 0.5}).max() == 255);
  CHECK(apply("edges", slope, {60, 90, 0.5}).max() == 0);
}

TEST_CASE("weak pixels are kept if a chain of them leads to a strong one") {
  CHECK(connected("Sww..ww", 7) == "###....");
  CHECK(connected("w.ww", 4) == "....");
  CHECK(connected("w..."
                  ".w.."
                  "..S."
                  "w...",
                  4) ==
        "#..."
        ".#.."
        "..#."
        "....");
  CHECK(connected("SS", 1) == "##");
  CHECK(connected("", 1).empty());
}
