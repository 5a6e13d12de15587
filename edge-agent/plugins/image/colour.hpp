// The one place where colours are converted: every filter and every writer sees sRGB.
#pragma once

#include <vips/vips8>

namespace edgefleet::image {

// Why the samples of a picture cannot be converted; empty if they can.
std::string unknown_samples(const vips::VImage& picture);

// Eight bits and one or three bands in sRGB, then an optional alpha of eight bits. The picture's own profile is
// applied, because the result is written without one; a broken profile, or one for another kind of picture, is ignored,
// as in viewers. CMYK without a profile is taken as common offset printing. A grey picture stays grey.
vips::VImage to_srgb(const vips::VImage& picture);

// `operation` on premultiplied values if the picture has alpha, so that the colour of transparent pixels does not bleed
// into their neighbours. The values are floats then: in eight bits a colour of low alpha would be lost.
template <typename Operation>
vips::VImage with_premultiplied(const vips::VImage& picture, const Operation& operation) {
  if (!picture.has_alpha()) return operation(picture);
  return operation(picture.premultiply()).unpremultiply().rint().cast(VIPS_FORMAT_UCHAR);
}

}  // namespace edgefleet::image
