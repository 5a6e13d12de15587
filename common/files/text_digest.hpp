// Names a text by its content.
#pragma once

#include <string>
#include <string_view>

namespace edgefleet {

// Its SHA-256: 64 hexadecimal digits.
std::string sha256(std::string_view text);
// The first half of it.
std::string text_digest(std::string_view text);

}  // namespace edgefleet
