#include "common/core/utf8.hpp"

#include <algorithm>
#include <array>
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

// As UTF-8; the order of the bytes is that of the characters.
struct Range {
  std::string_view first;
  std::string_view last;
};
constexpr std::array<Range, 6> controls = {{
    {"\xC2\x80", "\xC2\x9F"},          // C1
    {"\xD8\x9C", "\xD8\x9C"},          // ARABIC LETTER MARK
    {"\xE2\x80\x8E", "\xE2\x80\x8F"},  // LEFT-TO-RIGHT MARK, RIGHT-TO-LEFT MARK
    {"\xE2\x80\xA8", "\xE2\x80\xAE"},  // line and paragraph separator, embeddings and overrides
    {"\xE2\x81\xA6", "\xE2\x81\xA9"},  // isolates
    {"\xE2\x81\xAA", "\xE2\x81\xAF"},  // deprecated controls of the same kind
}};

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

std::size_t control_bytes(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text.front());
  if (byte < 0x20U || byte == 0x7FU) return 1;
  if (byte < 0x80U) return 0;
  const bool is_control = std::any_of(controls.begin(), controls.end(), [&](const Range& range) {
    const auto seen = text.substr(0, range.first.size());
    return seen >= range.first && seen <= range.last;
  });
  return is_control ? (byte < 0xE0U ? 2 : 3) : 0;
}

std::string without_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t control = control_bytes(text);
    out += control > 0 ? ' ' : text.front();
    text.remove_prefix(std::max<std::size_t>(control, 1));
  }
  return out;
}

}  // namespace edgefleet
