// Names a text by its content.
#pragma once

#include <string>
#include <string_view>

namespace edgefleet {

// The first half of its SHA-256: 32 hexadecimal digits.
std::string text_digest(std::string_view text);

}  // namespace edgefleet
