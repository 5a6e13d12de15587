#include "edge-agent/plugins/image/filters.hpp"

#include <algorithm>
#include <array>
#include <cmath>

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

// The arguments that vips_thumbnail and vips_thumbnail_image share. An omitted side is no bound; with "exact" it keeps
// the aspect ratio too.
vips::VOption* thumbnail_options(const Values& values) {
  const bool both = values[0] && values[1];
  auto* options = VImage::option()->set("height", static_cast<int>(values[1].value_or(VIPS_MAX_COORD)));
  if (both && fit_of(values) == Fit::cover) options->set("crop", VIPS_INTERESTING_CENTRE);
  if (both && fit_of(values) == Fit::exact) options->set("size", VIPS_SIZE_FORCE);
  return options;
}

int thumbnail_width(const Values& values) { return static_cast<int>(values[0].value_or(VIPS_MAX_COORD)); }

VImage resize(const VImage& in, const Values& values) {
  return in.thumbnail_image(thumbnail_width(values), thumbnail_options(values));
}

VImage resize_file(const char* path, const Values& values) {
  auto* options = thumbnail_options(values);
  options->set("fail_on", VIPS_FAIL_ON_ERROR)->set("export_profile", "srgb");
  return VImage::thumbnail(path, thumbnail_width(values), options);
}

// A wide blur runs on a shrunk picture: it removes all details of the size of a shrunk pixel anyway, and its cost would
// grow with the radius.
constexpr double kFineRadius = 8;

VImage gauss(const VImage& in, double radius) {
  const double shrink = std::clamp<double>(std::floor(radius / kFineRadius), 1, std::min(in.width(), in.height()));
  const VImage small = shrink > 1 ? in.shrink(shrink, shrink) : in;
  VImage soft = small.gaussblur(radius / shrink, VImage::option()->set("min_ampl", 0.05));
  if (shrink == 1) return soft;
  const double across = static_cast<double>(in.width()) / soft.width();
  const double down = static_cast<double>(in.height()) / soft.height();
  return soft.resize(across, VImage::option()->set("vscale", down)->set("kernel", VIPS_KERNEL_CUBIC));
}

VImage blur(const VImage& in, const Values& values) {
  if (!in.has_alpha()) return gauss(in, *values[0]);
  // The colour of a transparent pixel must not bleed into its neighbours.
  return gauss(in.premultiply().cast(VIPS_FORMAT_UCHAR), *values[0]).unpremultiply().cast(VIPS_FORMAT_UCHAR);
}

// An unsharp mask on lightness: flat areas are unchanged (m1), jagged ones are sharpened by the intensity (m2), halos
// are bounded (y2 brighter, y3 darker).
VImage sharpen(const VImage& in, const Values& values) {
  const double intensity = *values[0];
  return in.sharpen(VImage::option()
                        ->set("sigma", 1.5)
                        ->set("x1", 1.0)
                        ->set("m1", 0.0)
                        ->set("m2", intensity)
                        ->set("y2", 4 * intensity)
                        ->set("y3", 6 * intensity));
}

// vips_canny gives (d^2 + 256) / 512 of d, the length of a gradient of 2x2 differences. On a slope a 3x3 Sobel
// operator, in which such thresholds are usually given, gives 4 d.
double canny_level(double threshold) { return (threshold * threshold / 16 + 256) / 512; }

constexpr double kNoBlur = 0.01;

VImage in_lines(const VImage& in) {
  return in.linecache(VImage::option()->set("tile_height", 16)->set("access", VIPS_ACCESS_SEQUENTIAL));
}

VImage edges(const VImage& in, const Values& values) {
  const auto [low, high] = std::minmax(*values[0], *values[1]);
  VImage grey = in.has_alpha() ? in.flatten(VImage::option()->set("background", 255.0)) : in;
  grey = grey.colourspace(VIPS_INTERPRETATION_B_W).cast(VIPS_FORMAT_FLOAT);
  // vips computes an image again for every reader: the line caches serve the two readers after each of them.
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
    Filter{"resize", kResize, resize_conflict, resize, resize_file, false},
    Filter{"blur", kBlur, no_conflict, blur, nullptr, false},
    Filter{"sharpen", kSharpen, no_conflict, sharpen, nullptr, false},
    Filter{"edges", kEdges, no_conflict, edges, nullptr, true},
};

}  // namespace

std::span<const Filter> filters() { return kFilters; }

const Filter* find_filter(std::string_view name) {
  const auto found = std::ranges::find(kFilters, name, &Filter::name);
  return found == kFilters.end() ? nullptr : &*found;
}

Size size_after(const Filter& filter, const Values& values, Size before) {
  if (filter.name != "resize") return before;
  const bool both = values[0] && values[1];
  if (both && fit_of(values) != Fit::inside) {
    return {static_cast<std::int64_t>(*values[0]), static_cast<std::int64_t>(*values[1])};
  }
  const auto width = static_cast<double>(before.width);
  const auto height = static_cast<double>(before.height);
  const double across = values[0] ? *values[0] / width : *values[1] / height;
  const double down = values[1] ? *values[1] / height : across;
  const double scale = std::min(across, down);
  const auto scaled = [&](double side) { return std::max<std::int64_t>(1, std::llround(side * scale)); };
  return {scaled(width), scaled(height)};
}

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
