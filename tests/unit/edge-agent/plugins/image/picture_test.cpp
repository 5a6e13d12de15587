// One task in this process, from file to file.
#include "edge-agent/plugins/image/picture.hpp"

#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/plugins/image/pictures.hpp"

using namespace edgefleet::image;
using namespace edgefleet::image::test;
using nlohmann::json;
using vips::VImage;

namespace {

using Outcome = std::variant<json, Failure>;

Outcome run(const Scratch& scratch, const std::string& file, const json& chain, const Limits& limits = {}) {
  const json input{
      {"image", {{"artifact", "sha256-ab"}, {"file", scratch.in(file)}}}, {"filters", chain}, {"format", "png"}};
  const auto request = parse_request("image.process", input, scratch.path());
  REQUIRE(request.ok());
  return process(*request, limits, [](int, std::string_view) {});
}

Failure failure_of(const Outcome& outcome) {
  REQUIRE(std::holds_alternative<Failure>(outcome));
  return std::get<Failure>(outcome);
}

VImage picture_of(const Scratch& scratch, const Outcome& outcome) {
  if (const auto* failure = std::get_if<Failure>(&outcome)) FAIL(failure->message);
  return read(scratch.path() + "/" + std::get<json>(outcome)["image"]["file"].get<std::string>());
}

json resize(json values) {
  values["name"] = "resize";
  return json::array({values});
}

VImage turned(const VImage& picture, int orientation) {
  VImage copy = picture.copy();
  copy.set("orientation", orientation);
  return copy;
}

double difference(const VImage& one, const VImage& other) { return (one - other).abs().max(); }

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string without_end(const std::string& jpeg) { return jpeg.substr(0, jpeg.size() - 2); }

}  // namespace

TEST_CASE("a resize reaches its size exactly, also from a decoder that reduces, upright or not") {
  const Scratch scratch;
  struct Case {
    json values;
    Size after;         // of 1003 x 402
    Size after_turned;  // of 402 x 1003
  };
  const std::vector<Case> cases{
      {{{"width", 100}}, {100, 40}, {100, 250}},
      {{{"height", 60}}, {150, 60}, {24, 60}},
      {{{"width", 333}, {"height", 333}}, {333, 133}, {133, 333}},
      {{{"width", 50}, {"height", 50}, {"fit", "cover"}}, {50, 50}, {50, 50}},
      {{{"width", 10}, {"height", 90}, {"fit", "cover"}}, {10, 90}, {10, 90}},
      {{{"width", 31}, {"height", 77}, {"fit", "exact"}}, {31, 77}, {31, 77}},
      {{{"width", 2}}, {2, 1}, {2, 5}},
  };
  for (const int orientation : {1, 3, 6}) {
    const auto picture = turned(coloured(1003, 402), orientation);
    picture.jpegsave(scratch.in("a.jpg").c_str());
    picture.webpsave(scratch.in("a.webp").c_str());
    picture.tiffsave(scratch.in("a.tif").c_str());
    for (const auto& [values, after, after_turned] : cases) {
      for (const char* file : {"a.jpg", "a.webp", "a.tif"}) {
        CAPTURE(file, orientation, values.dump());
        const auto result = picture_of(scratch, run(scratch, file, resize(values)));
        CHECK(Size{result.width(), result.height()} == (orientation == 6 ? after_turned : after));
        CHECK(result.get_typeof("orientation") == 0);
      }
    }
  }
}

TEST_CASE("a resize of a picture that its decoder has reduced looks like one of the whole picture") {
  const Scratch scratch;
  coloured(1600, 1200).jpegsave(scratch.in("a.jpg").c_str(), VImage::option()->set("Q", 100));
  coloured(1600, 1200).webpsave(scratch.in("a.webp").c_str(), VImage::option()->set("lossless", true));
  coloured(1600, 1200).pngsave(scratch.in("a.png").c_str());
  for (const json& values : {json{{"width", 90}}, json{{"width", 80}, {"height", 80}, {"fit", "cover"}}}) {
    const auto whole = picture_of(scratch, run(scratch, "a.png", resize(values)));
    for (const char* file : {"a.jpg", "a.webp"}) {
      CAPTURE(file, values.dump());
      CHECK(difference(picture_of(scratch, run(scratch, file, resize(values))), whole) <= 5);
    }
  }
}

TEST_CASE("a cover of a strip computes only what is kept, up to the longest side there is") {
  const Scratch scratch;
  coloured(2000, 2).pngsave(scratch.in("strip.png").c_str());
  const json cover{{"width", 100}, {"height", 8000}, {"fit", "cover"}};
  const auto result = picture_of(scratch, run(scratch, "strip.png", resize(cover)));
  CHECK(Size{result.width(), result.height()} == Size{100, 8000});
  const auto failure =
      failure_of(run(scratch, "strip.png", resize({{"width", 1}, {"height", 16000}, {"fit", "cover"}})));
  CHECK(failure.code == "too_large");
  CHECK(contains(failure.message, "16000000 x 16000 pixels before it is cropped"));
}

TEST_CASE("a JPEG without its end mark is shown, with a thumbnail or data behind it too") {
  const Scratch scratch;
  const auto noisy = (coloured(200, 200) + VImage::gaussnoise(200, 200)).cast(VIPS_FORMAT_UCHAR);
  for (const bool progressive : {false, true}) {
    noisy.jpegsave(scratch.in("whole.jpg").c_str(), VImage::option()->set("interlace", progressive));
    const auto whole = picture_of(scratch, run(scratch, "whole.jpg", json::array()));
    const std::string bytes = read_bytes(scratch.in("whole.jpg"));
    const std::string thumbnail = std::string("\xFF\xEF\x00\x06\xFF\xD9\xFF\xD9", 8);  // a segment with end marks
    const std::vector<std::string> files{without_end(bytes),
                                         without_end(bytes.substr(0, 2) + thumbnail + bytes.substr(2)),
                                         bytes + std::string(5000, '\0')};
    for (const auto& file : files) {
      CAPTURE(progressive, file.size(), bytes.size());
      write_text(scratch.in("a.jpg"), file);
      CHECK(difference(picture_of(scratch, run(scratch, "a.jpg", json::array())), whole) == 0);
      CHECK(picture_of(scratch, run(scratch, "a.jpg", resize({{"width", 20}}))).width() == 20);
      CHECK(read_bytes(scratch.in("a.jpg")) == file);
    }
  }
}

TEST_CASE("a BigTIFF is read") {
  const Scratch scratch;
  coloured(40, 30).tiffsave(scratch.in("big.tif").c_str(), VImage::option()->set("bigtiff", true));
  REQUIRE(read_bytes(scratch.in("big.tif")).substr(0, 3) == "II+");
  CHECK(difference(picture_of(scratch, run(scratch, "big.tif", json::array())), coloured(40, 30)) == 0);
}

TEST_CASE("every refusal has its reason, and names no path of the device") {
  const Scratch scratch;
  write_text(scratch.in("no_width.png"), png_that_claims(0, 5));
  write_text(scratch.in("no_height.png"), png_that_claims(5, 0));
  write_text(scratch.in("no_frame.gif"), std::string("GIF89a\0\0\0\0\0\0\0;", 14));
  write_text(scratch.in("no_tags.tif"), std::string("II*\0\x08\0\0\0\0\0\0\0\0\0", 14));
  VImage::black(8, 8).cast(VIPS_FORMAT_INT).tiffsave(scratch.in("int.tif").c_str());
  const std::vector<std::pair<std::string, std::string>> cases{{"no_width.png", "zero"},
                                                               {"no_height.png", "zero"},
                                                               {"no_frame.gif", "no frames"},
                                                               {"no_tags.tif", "its header is damaged"},
                                                               {"int.tif", "of the type \"int\""}};
  for (const auto& [file, reason] : cases) {
    for (const json& chain : {json::array(), resize({{"width", 4}})}) {
      CAPTURE(file, chain.dump());
      const auto failure = failure_of(run(scratch, file, chain));
      CAPTURE(failure.message);
      CHECK(failure.code == "bad_image");
      CHECK(contains(failure.message, reason));
      CHECK_FALSE(contains(failure.message, scratch.path()));
    }
  }
}

TEST_CASE("bands and bytes of a pixel count in the bound") {
  const Scratch scratch;
  const auto bands = [](int count, VipsBandFormat format) {
    return VImage::black(100, 90, VImage::option()->set("bands", count)).cast(format);
  };
  const Limits limits{.most_pixels = 10'000};
  bands(16, VIPS_FORMAT_UCHAR).tiffsave(scratch.in("bands.tif").c_str());
  bands(3, VIPS_FORMAT_FLOAT).tiffsave(scratch.in("floats.tif").c_str());
  bands(3, VIPS_FORMAT_UCHAR).tiffsave(scratch.in("sound.tif").c_str());
  for (const char* file : {"bands.tif", "floats.tif"}) {
    CAPTURE(file);
    CHECK(failure_of(run(scratch, file, json::array(), limits)).code == "too_large");
    CHECK(std::holds_alternative<json>(run(scratch, file, json::array())));
  }
  CHECK(std::holds_alternative<json>(run(scratch, "sound.tif", json::array(), limits)));
}
