#include "cli/core/text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "common/core/utf8.hpp"

namespace edgefleet::cli {
namespace {

const char* escape_of(Style style) {
  switch (style) {
    case Style::plain:
      return "";
    case Style::good:
      return "\x1b[32m";
    case Style::bad:
      return "\x1b[31m";
    case Style::warn:
      return "\x1b[33m";
    case Style::busy:
      return "\x1b[36m";
    case Style::dim:
      return "\x1b[2m";
    case Style::heading:
      return "\x1b[1m";
  }
  return "";
}

constexpr std::array<std::pair<std::string_view, Style>, 16> state_styles = {{
    {"succeeded", Style::good},
    {"failed", Style::bad},
    {"expired", Style::bad},
    {"lost", Style::bad},
    {"cancelled", Style::warn},
    {"cancelling", Style::warn},
    {"returned", Style::warn},
    {"running", Style::busy},
    {"assigned", Style::busy},
    {"scheduled", Style::dim},
    {"online", Style::good},
    {"draining", Style::warn},
    {"overheated", Style::bad},
    {"offline", Style::dim},
    {"reduced", Style::warn},
    {"paused", Style::bad},
}};

// The digits from `at` on, without leading zeros ("0" for zero); `at` moves behind them. Empty: none.
std::string_view number_at(std::string_view text, std::size_t& at) {
  const auto digit = [&](std::size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  if (!digit(at)) return {};
  while (text[at] == '0' && digit(at + 1)) ++at;
  const auto begin = at;
  while (digit(at)) ++at;
  return text.substr(begin, at - begin);
}

}  // namespace

std::string paint(std::string_view text, Style style, bool colour) {
  if (!colour || style == Style::plain || text.empty()) return std::string(text);
  return escape_of(style) + std::string(text) + "\x1b[0m";
}

Style style_of_state(std::string_view state) {
  const auto known =
      std::find_if(state_styles.begin(), state_styles.end(), [state](const auto& s) { return s.first == state; });
  return known == state_styles.end() ? Style::plain : known->second;
}

std::string printable(std::string_view text) { return without_controls(text); }

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !utf8_continuation(c); }));
}

bool natural_less(std::string_view a, std::string_view b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    std::size_t after_i = i, after_j = j;
    const auto left = number_at(a, after_i), right = number_at(b, after_j);
    if (!left.empty() && !right.empty()) {
      if (left.size() != right.size()) return left.size() < right.size();
      if (left != right) return left < right;
      i = after_i, j = after_j;
      continue;
    }
    if (a[i] != b[j]) return a[i] < b[j];
    ++i, ++j;
  }
  if (i == a.size() && j == b.size()) return a < b;  // "02" and "2"
  return i == a.size();
}

std::string fit(std::string_view text, std::size_t width) {
  if (width_of(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t end = 0;
  for (std::size_t points = 0; end < text.size(); ++end) {
    if (!utf8_continuation(text[end]) && points++ == width - 1) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string pad(std::string_view text, std::size_t width, bool right) {
  const auto used = width_of(text);
  const std::string space(used < width ? width - used : 0, ' ');
  return right ? space + std::string(text) : std::string(text) + space;
}

std::string sentence(std::string text) {
  if (!text.empty() && std::string_view(".!?").find(text.back()) == std::string_view::npos) text += '.';
  return text;
}

}  // namespace edgefleet::cli
