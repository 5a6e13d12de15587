#include "edge-agent/executors/llm/surrogates.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace edgefleet::agent::llm {
namespace {

constexpr std::size_t escape_bytes = 6;  // \uXXXX
constexpr std::string_view replacement = "\\ufffd";

enum class Half { none, high, low };

// Of the escape at the beginning of `text`.
Half half_at(std::string_view text) {
  if (text.size() < escape_bytes || !text.starts_with("\\u")) return Half::none;
  unsigned unit = 0;
  const auto [rest, failure] = std::from_chars(text.data() + 2, text.data() + escape_bytes, unit, 16);
  if (failure != std::errc{} || rest != text.data() + escape_bytes) return Half::none;
  if ((unit & 0xFC00U) == 0xD800U) return Half::high;
  return (unit & 0xFC00U) == 0xDC00U ? Half::low : Half::none;
}

// Length of the text at the beginning of `text`, without its closing quote.
std::size_t length_of_text(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2U : 1U;
  return std::min(at, text.size());
}

}  // namespace

void SurrogateJoiner::take_text(std::string_view text, std::string& out) {
  if (half_at(text) == Half::low && !high_.empty()) {
    (out += std::exchange(high_, {})) += text.substr(0, escape_bytes);
    text.remove_prefix(escape_bytes);
  }
  while (!text.empty()) {
    const Half half = half_at(text);
    const auto after = text.substr(std::min(escape_bytes, text.size()));
    if (half == Half::high && half_at(after) == Half::low) {
      out += text.substr(0, 2 * escape_bytes);
      text.remove_prefix(2 * escape_bytes);
    } else if (half == Half::high && after.empty()) {
      high_ = text;
      return;
    } else if (half != Half::none) {
      out += replacement;
      text = after;
    } else {
      const std::size_t length = text.front() == '\\' ? std::min<std::size_t>(2, text.size()) : 1;
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
}

std::string SurrogateJoiner::join(std::string_view piece) {
  std::string out;
  while (!piece.empty()) {
    const auto quote = piece.find('"');
    if (quote == std::string_view::npos) break;
    out += piece.substr(0, quote + 1);
    piece.remove_prefix(quote + 1);
    const std::size_t length = length_of_text(piece);
    take_text(piece.substr(0, length), out);
    piece.remove_prefix(length);
    if (piece.empty()) return out;
    out += '"';
    piece.remove_prefix(1);
  }
  return out += piece;
}

}  // namespace edgefleet::agent::llm
