#include "edge-agent/plugins/image/colour.hpp"

#include <cstdio>
#include <exception>
#include <optional>
#include <string>

namespace edgefleet::image {
namespace {

using vips::VImage;

constexpr double kMost16 = 65535;

bool is_float(const VImage& picture) { return picture.format() == VIPS_FORMAT_FLOAT; }

int colour_bands(const VImage& picture) {
  if (picture.bands() < 3) return 1;
  return picture.interpretation() == VIPS_INTERPRETATION_CMYK ? 4 : 3;
}

VImage first_bands(const VImage& picture, int count) {
  return picture.bands() == count ? picture : picture.extract_band(0, VImage::option()->set("n", count));
}

VImage as(const VImage& picture, VipsInterpretation interpretation) {
  return picture.copy(VImage::option()->set("interpretation", interpretation));
}

double most_of(const VImage& picture) {
  return picture.format() == VIPS_FORMAT_UCHAR ? 255 : is_float(picture) ? 1 : kMost16;
}

VImage in_8_bits(const VImage& picture) {
  if (picture.format() == VIPS_FORMAT_UCHAR) return picture;
  return (picture * (255 / most_of(picture))).rint().cast(VIPS_FORMAT_UCHAR);
}

// libvips does not scale alpha in every conversion: it is kept apart from the colours.
std::optional<VImage> alpha_of(const VImage& picture) {
  const int colours = colour_bands(picture);
  if (picture.bands() == colours) return std::nullopt;
  return in_8_bits(picture.extract_band(colours));
}

// Profiles are defined on whole numbers.
VImage in_16_bits(const VImage& colour) {
  const auto interpretation = colour.bands() == 1 ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_RGB16;
  return as((colour * kMost16).rint().cast(VIPS_FORMAT_USHORT), interpretation);
}

// Straight from one device to the other: the way through a device-independent picture clips and rounds.
VImage transformed(const VImage& colour, const char* fallback) {
  auto* options = VImage::option()->set("embedded", true)->set("depth", colour.format() == VIPS_FORMAT_UCHAR ? 8 : 16);
  if (fallback != nullptr) options->set("input_profile", fallback);
  return as(in_8_bits(colour.icc_transform("srgb", options)), VIPS_INTERPRETATION_sRGB);
}

// None: the picture has no profile, or not a usable one.
std::optional<VImage> by_profile(const VImage& colour) {
  const bool cmyk = colour.interpretation() == VIPS_INTERPRETATION_CMYK;
  if (!cmyk && colour.get_typeof(VIPS_META_ICC_NAME) == 0) return std::nullopt;
  try {
    return transformed(is_float(colour) ? in_16_bits(colour) : colour, cmyk ? "cmyk" : nullptr);
  } catch (const vips::VError& problem) {
    const std::string text = problem.what();
    std::fprintf(stderr, "the picture's colour profile is ignored: %s\n", text.substr(0, text.find('\n')).c_str());
    vips_error_clear();
    return std::nullopt;
  }
}

// Floats are linear light, 0 to 1; libvips knows that of three bands only.
VImage linear_grey(const VImage& colour) {
  return as(VImage::bandjoin({colour, colour, colour}), VIPS_INTERPRETATION_scRGB)
      .colourspace(VIPS_INTERPRETATION_sRGB);
}

VImage by_kind(const VImage& colour) {
  if (colour.bands() > 1) return colour.colourspace(VIPS_INTERPRETATION_sRGB);
  return is_float(colour) ? linear_grey(colour) : colour.colourspace(VIPS_INTERPRETATION_B_W);
}

VImage without_profile(const VImage& picture) {
  VImage bare = picture.copy();
  bare.remove(VIPS_META_ICC_NAME);
  return bare;
}

VImage convert(const VImage& colour) {
  if (const auto converted = by_profile(colour)) return *converted;
  const VImage bare = without_profile(colour);
  if (const auto converted = by_profile(bare)) return *converted;
  return by_kind(bare);
}

}  // namespace

std::string unknown_samples(const VImage& picture) {
  const auto format = picture.format();
  if (format == VIPS_FORMAT_UCHAR || format == VIPS_FORMAT_USHORT || format == VIPS_FORMAT_FLOAT) return {};
  return std::string("its samples are of the type \"") + vips_enum_nick(VIPS_TYPE_BAND_FORMAT, format) +
         "\"; accepted are 8 or 16 bits without sign, and floats of 32 bits";
}

VImage to_srgb(const VImage& picture) {
  const int colours = colour_bands(picture);
  const auto alpha = alpha_of(picture);
  VImage colour = convert(first_bands(picture, colours)).cast(VIPS_FORMAT_UCHAR);
  // The three bands of a grey pixel are equal, but for rounding.
  if (colours == 1 && colour.bands() > 1) colour = as(colour.extract_band(1), VIPS_INTERPRETATION_B_W);
  return without_profile(alpha ? colour.bandjoin(*alpha) : colour);
}

}  // namespace edgefleet::image
