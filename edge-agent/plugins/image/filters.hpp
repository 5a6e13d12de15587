// The filters as one table: names, parameters with their ranges, and their operations. The request parser checks input
// against this table, so each range is defined once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <vips/vips8>

#include "common/core/result.hpp"

namespace edgefleet::image {

struct Limits {
  std::int64_t most_pixels = 100'000'000;  // of an input or output picture: width x height, with at most 4 bytes each
};

struct Parameter {
  std::string_view name;
  double low = 0;  // both bounds are allowed values
  double high = 0;
  std::optional<double> fallback{};  // none: the parameter may be absent
  bool whole = false;
  std::span<const std::string_view> choices{};  // not empty: a text, its value is the index here
};

using Values = std::vector<std::optional<double>>;  // in the order of Filter::parameters

struct Filter {
  std::string_view name;
  std::span<const Parameter> parameters;
  std::string (*conflict)(const Values&);  // why these values conflict; empty if they do not
  vips::VImage (*apply)(const vips::VImage&, const Values&);
  bool resizes = false;  // a picture that is not upright yet is accepted, also a reduced one; the result is upright
  bool evaluates = false;  // it computes its whole picture at once, before the next filter begins
};

std::span<const Filter> filters();
const Filter* find_filter(std::string_view name);  // null: none

struct Size {
  std::int64_t width = 0;
  std::int64_t height = 0;
  bool operator==(const Size&) const = default;
};

// The size of the filter's result for a picture of that size; only resize changes it.
Size size_after(const Filter& filter, const Values& values, Size before);

// What the whole picture is scaled to before a part is cropped.
Size size_before_crop(const Filter& filter, const Values& values, Size before);

// The same resize for a picture whose decoder has reduced it from that size, and rounded its sides.
Values for_reduced(const Filter& filter, const Values& values, Size before);

// Height and width if the picture is to be turned by its orientation.
Size upright_size(const vips::VImage& picture);

// With a cache of some lines, for a picture that is read more than once: libvips computes it again for every reader,
// and for every overlap of what one reader asks for, which multiplies along a chain.
vips::VImage in_lines(const vips::VImage& in);

// Keeps the strong pixels (bit 1) and those weak ones (bit 0) that touch, over any number of weak ones and corners
// too, a strong one: 255 for these, 0 for all else. In place.
void keep_connected(std::span<std::uint8_t> classes, std::size_t width, std::size_t height);

}  // namespace edgefleet::image
