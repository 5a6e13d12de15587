#include "edge-agent/plugins/image/filters.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "edge-agent/plugins/image/colour.hpp"

namespace edgefleet::image {
namespace {

using vips::VImage;

constexpr double kMostSide = 16384;
constexpr std::array<std::string_view, 3> kFits{"inside", "cover", "exact"};
enum class Fit { inside, cover, exact };

constexpr std::array kResize{
    Parameter{.name = "width", .low = 1, .high = kMostSide, .whole = true},
    Parameter{.name = "height", .low = 1, .high = kMostSide, .whole = true},
    Parameter{.name = "fit", .high = 2, .fallback = 0, .whole = true, .choices = kFits},
};
constexpr std::array kBlur{Parameter{.name = "radius", .low = 0.1, .high = 50, .fallback = 2}};
constexpr std::array kSharpen{Parameter{.name = "intensity", .low = 1, .high = 10, .fallback = 3}};
constexpr std::array kEdges{
    Parameter{.name = "threshold1", .low = 0, .high = 1500, .fallback = 50},
    Parameter{.name = "threshold2", .low = 0, .high = 1500, .fallback = 150},
    Parameter{.name = "sigma", .low = 0.5, .high = 5, .fallback = 1},
};

std::string no_conflict(const Values&) { return {}; }

Fit fit_of(const Values& values) { return static_cast<Fit>(static_cast<int>(*values[2])); }

std::string resize_conflict(const Values& values) {
  if (!values[0] && !values[1]) return "resize needs width or height (1 to 16384), or both";
  if (fit_of(values) == Fit::cover && !(values[0] && values[1])) return "fit \"cover\" needs both width and height";
  return {};
}

Size asked_size(const Values& values) {
  return {static_cast<std::int64_t>(*values[0]), static_cast<std::int64_t>(*values[1])};
}

// Of the whole picture, before a crop.
Size scaled_size(const Values& values, Size before) {
  const bool both = values[0] && values[1];
  if (both && fit_of(values) == Fit::exact) return asked_size(values);
  const auto width = static_cast<double>(before.width);
  const auto height = static_cast<double>(before.height);
  const double across = values[0] ? *values[0] / width : *values[1] / height;
  const double down = values[1] ? *values[1] / height : across;
  const double scale = fit_of(values) == Fit::cover ? std::max(across, down) : std::min(across, down);
  const auto scaled = [&](double side) { return std::max<std::int64_t>(1, std::llround(side * scale)); };
  return {scaled(width), scaled(height)};
}

Size resized(const Values& values, Size before) {
  return fit_of(values) == Fit::cover ? asked_size(values) : scaled_size(values, before);
}

VImage upright(const VImage& in) {
  return vips_image_get_orientation(in.get_image()) <= 1 ? in : in.copy_memory().autorot();
}

VImage scaled_to(const VImage& in, Size size) {
  const double across = static_cast<double>(size.width) / in.width();
  const double down = static_cast<double>(size.height) / in.height();
  if (across == 1 && down == 1) return in;
  return with_premultiplied(
      in, [&](const VImage& picture) { return picture.resize(across, VImage::option()->set("vscale", down)); });
}

VImage middle_of(const VImage& in, Size size) {
  const auto width = static_cast<int>(std::min<std::int64_t>(size.width, in.width()));
  const auto height = static_cast<int>(std::min<std::int64_t>(size.height, in.height()));
  return in.extract_area((in.width() - width) / 2, (in.height() - height) / 2, width, height);
}

Size turned(Size size, bool on_its_side) { return on_its_side ? Size{size.height, size.width} : size; }

bool on_its_side(const VImage& in) { return vips_image_get_orientation_swap(in.get_image()) != FALSE; }

// Scales and crops before it turns: less is held in memory.
VImage resize(const VImage& in, const Values& values) {
  const Size before = upright_size(in);
  const VImage scaled = scaled_to(in, turned(scaled_size(values, before), on_its_side(in)));
  return upright(middle_of(scaled, turned(resized(values, before), on_its_side(in))));
}
// A wide blur runs on a shrunk picture: it removes all details of the size of a shrunk pixel anyway, and its cost would
// grow with the radius.
constexpr double kFineRadius = 4;

VImage gauss(const VImage& in, double radius) {
  const double shrink = std::clamp<double>(std::floor(radius / kFineRadius), 1, std::min(in.width(), in.height()));
  const VImage small = shrink > 1 ? in.shrink(shrink, shrink) : in;
  const VImage blurred = small.gaussblur(radius / shrink, VImage::option()->set("min_ampl", 0.05));
  if (shrink == 1) return blurred;
  const VImage soft = in_lines(blurred);
  const double across = static_cast<double>(in.width()) / soft.width();
  const double down = static_cast<double>(in.height()) / soft.height();
  return soft.resize(across, VImage::option()->set("vscale", down)->set("kernel", VIPS_KERNEL_CUBIC));
}

// On bytes libvips convolves with coefficients of eight bits, which changes flat areas by up to 4.
VImage blur_opaque(const VImage& in, double radius) {
  return in.format() == VIPS_FORMAT_UCHAR ? gauss(in.cast(VIPS_FORMAT_USHORT), radius).cast(VIPS_FORMAT_UCHAR)
                                          : gauss(in, radius);
}

VImage blur(const VImage& in, const Values& values) {
  return with_premultiplied(in, [&](const VImage& picture) { return blur_opaque(picture, *values[0]); });
}

// Lightness in LABS, the colour space of libvips in whole numbers.
constexpr double kOfLightness = 32767.0 / 100;
constexpr double kSharpenSigma = 1.5;
constexpr int kZero = 32768;  // where no difference is in a table of differences

// What is added to the lightness, by its difference from the blurred one: nothing to differences below 1 of 100.
VImage unsharp_table(double intensity) {
  std::vector<std::int16_t> table(2 * kZero);
  for (int i = 0; i < 2 * kZero; ++i) {
    const double difference = (i - kZero) / kOfLightness;
    const double excess = std::max(difference - 1, 0.0) + std::min(difference + 1, 0.0);
    const double added = std::clamp(intensity * excess, -6 * intensity, 4 * intensity);
    table[static_cast<std::size_t>(i)] = static_cast<std::int16_t>(std::lround(added * kOfLightness));
  }
  return VImage(vips_image_new_from_memory_copy(table.data(), table.size() * sizeof(table[0]), 2 * kZero, 1, 1,
                                                VIPS_FORMAT_SHORT));
}

VImage blurred_lightness(const VImage& lightness, const VImage& in) {
  const auto soften = [](const VImage& picture) {
    return picture.gaussblur(kSharpenSigma, VImage::option()->set("min_ampl", 0.1));
  };
  if (!in.has_alpha()) return soften(lightness);
  const VImage alpha = in.extract_band(in.bands() - 1);
  const VImage weighted = VImage::bandjoin({lightness.cast(VIPS_FORMAT_FLOAT), alpha})
                              .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_B_W));
  // Where nothing is visible, there is nothing to compare with.
  return (alpha == 0).ifthenelse(lightness, soften(weighted.premultiply()).unpremultiply().extract_band(0).rint());
}

// An unsharp mask on lightness. A pixel whose lightness stays is passed on as it is: the way to another colour space
// and back rounds, which would add up.
VImage sharpen_colours(const VImage& colour, const VImage& in, double intensity) {
  const VImage lab = in_lines(colour.colourspace(VIPS_INTERPRETATION_LABS));
  const VImage lightness = lab.extract_band(0);
  const VImage difference = lightness - blurred_lightness(lightness, in) + static_cast<double>(kZero);
  const VImage added = in_lines(difference.cast(VIPS_FORMAT_USHORT).maplut(unsharp_table(intensity)));
  const VImage sharp = VImage::bandjoin({(lightness + added).cast(VIPS_FORMAT_SHORT),
                                         lab.extract_band(1, VImage::option()->set("n", 2))})
                           .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_LABS));
  return (added == 0).ifthenelse(colour, sharp.colourspace(colour.interpretation()).cast(VIPS_FORMAT_UCHAR));
}

VImage sharpen(const VImage& in, const Values& values) {
  if (!in.has_alpha()) return sharpen_colours(in, in, *values[0]);
  const int colours = in.bands() - 1;
  const VImage colour = in.extract_band(0, VImage::option()->set("n", colours));
  return sharpen_colours(colour, in, *values[0]).bandjoin(in.extract_band(colours));
}

// vips_canny gives (d^2 + 256) / 512 of d, the length of a gradient of 2x2 differences. On a slope a 3x3 Sobel
// operator, in which such thresholds are usually given, gives 4 d.
double canny_level(double threshold) { return (threshold * threshold / 16 + 256) / 512; }

constexpr double kNoBlur = 0.01;

VImage edges(const VImage& in, const Values& values) {
  const auto [low, high] = std::minmax(*values[0], *values[1]);
  VImage grey = in.has_alpha() ? in.flatten(VImage::option()->set("background", 255.0)) : in;
  grey = grey.colourspace(VIPS_INTERPRETATION_B_W).cast(VIPS_FORMAT_FLOAT);
  const VImage smooth = in_lines(grey.gaussblur(*values[2], VImage::option()->set("precision", VIPS_PRECISION_FLOAT)));
  const VImage thin = in_lines(smooth.canny(VImage::option()->set("sigma", kNoBlur)));
  // A place without any gradient is at canny_level(0): > and not >=, so that a threshold of 0 does not mark it.
  const VImage bytes = (((thin > canny_level(low)) & 1.0) | ((thin > canny_level(high)) & 2.0)).copy_memory();
  const auto width = static_cast<std::size_t>(bytes.width());
  const auto height = static_cast<std::size_t>(bytes.height());
  auto* pixels = static_cast<std::uint8_t*>(const_cast<void*>(bytes.data()));  // ours: a copy in memory
  keep_connected({pixels, width * height}, width, height);
  return bytes.copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_B_W));
}

constexpr std::array kFilters{
    Filter{.name = "resize", .parameters = kResize, .conflict = resize_conflict, .apply = resize, .resizes = true},
    Filter{.name = "blur", .parameters = kBlur, .conflict = no_conflict, .apply = blur},
    Filter{.name = "sharpen", .parameters = kSharpen, .conflict = no_conflict, .apply = sharpen},
    Filter{.name = "edges", .parameters = kEdges, .conflict = no_conflict, .apply = edges, .evaluates = true},
};

}  // namespace

VImage in_lines(const VImage& in) {
  return in.linecache(VImage::option()->set("tile_height", 16)->set("access", VIPS_ACCESS_SEQUENTIAL));
}

std::span<const Filter> filters() { return kFilters; }

const Filter* find_filter(std::string_view name) {
  const auto found = std::ranges::find(kFilters, name, &Filter::name);
  return found == kFilters.end() ? nullptr : &*found;
}

Size size_after(const Filter& filter, const Values& values, Size before) {
  return filter.resizes ? resized(values, before) : before;
}

Size size_before_crop(const Filter& filter, const Values& values, Size before) {
  return filter.resizes ? scaled_size(values, before) : before;
}

Values for_reduced(const Filter& filter, const Values& values, Size before) {
  if (!filter.resizes || fit_of(values) == Fit::cover) return values;
  const Size after = resized(values, before);
  return {static_cast<double>(after.width), static_cast<double>(after.height), static_cast<double>(Fit::exact)};
}

Size upright_size(const VImage& picture) { return turned({picture.width(), picture.height()}, on_its_side(picture)); }

void keep_connected(std::span<std::uint8_t> classes, std::size_t width, std::size_t height) {
  constexpr std::uint8_t kept = 255;
  std::vector<std::size_t> open;  // kept, its neighbours not yet checked
  const auto visit_neighbours = [&](std::size_t at) {
    const std::size_t x = at % width;
    const std::size_t y = at / width;
    for (std::size_t row = y - std::min<std::size_t>(y, 1); row <= std::min(y + 1, height - 1); ++row) {
      for (std::size_t column = x - std::min<std::size_t>(x, 1); column <= std::min(x + 1, width - 1); ++column) {
        auto& pixel = classes[row * width + column];
        if (pixel == 0 || pixel == kept) continue;
        pixel = kept;
        open.push_back(row * width + column);
      }
    }
  };
  for (std::size_t seed = 0; seed < classes.size(); ++seed) {
    if (classes[seed] == kept || (classes[seed] & 2U) == 0) continue;
    classes[seed] = kept;
    open.push_back(seed);
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      visit_neighbours(at);
    }
  }
  std::ranges::replace_if(classes, [](std::uint8_t pixel) { return pixel != kept; }, std::uint8_t{0});
}

}  // namespace edgefleet::image
