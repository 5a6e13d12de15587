#include "common/core/utf8.hpp"

#include <algorithm>
#include <cstdint>

namespace edgefleet {
namespace {

struct Lead {
  std::size_t length = 0;  // 0: cannot begin a character
  std::uint32_t bits = 0;
  std::uint32_t least = 0;  // smaller values are overlong encodings
};

Lead lead(unsigned char c) {
  if (c < 0x80U) return {1, c, 0};
  if ((c & 0xE0U) == 0xC0U) return {2, c & 0x1FU, 0x80};
  if ((c & 0xF0U) == 0xE0U) return {3, c & 0x0FU, 0x800};
  if ((c & 0xF8U) == 0xF0U) return {4, c & 0x07U, 0x10000};
  return {};
}

}  // namespace

std::size_t utf8_character(std::string_view bytes) {
  const Lead first = lead(static_cast<unsigned char>(bytes.front()));
  if (first.length == 0 || first.length > bytes.size()) return 0;
  std::uint32_t code = first.bits;
  for (std::size_t i = 1; i < first.length; ++i) {
    if (!utf8_continuation(bytes[i])) return 0;
    code = (code << 6U) | (static_cast<unsigned char>(bytes[i]) & 0x3FU);
  }
  const bool surrogate = code >= 0xD800U && code <= 0xDFFFU;
  return code < first.least || code > 0x10FFFFU || surrogate ? 0 : first.length;
}

std::string valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = utf8_character(bytes);
    text += length == 0 ? std::string_view("\xEF\xBF\xBD") : bytes.substr(0, length);
    bytes.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return text;
}

std::string_view without_broken_end(std::string_view text) {
  std::size_t tail = 0;  // continuation bytes at the end
  while (tail < 3 && tail < text.size() && utf8_continuation(text[text.size() - 1 - tail])) ++tail;
  if (tail == text.size()) return text;
  const std::size_t last = text.size() - 1 - tail;
  const bool broken = lead(static_cast<unsigned char>(text[last])).length > tail + 1;
  return broken ? text.substr(0, last) : text;
}

std::string_view without_broken_begin(std::string_view text) {
  std::size_t broken = 0;
  while (broken < 3 && broken < text.size() && utf8_continuation(text[broken])) ++broken;
  return text.substr(broken);
}

std::string_view cut_front(std::string_view text, std::size_t most) {
  return text.size() <= most ? text : without_broken_end(text.substr(0, most));
}

std::string_view cut_back(std::string_view text, std::size_t most) {
  return text.size() <= most ? text : without_broken_begin(text.substr(text.size() - most));
}

}  // namespace edgefleet
