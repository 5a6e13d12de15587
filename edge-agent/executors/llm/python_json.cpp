#include "edge-agent/executors/llm/python_json.hpp"

#include <algorithm>
#include <array>

namespace edgefleet::agent::llm {
namespace {

// The length of such a number at the begin of `text`; 0: there is none.
std::size_t infinity_at(std::string_view text) {
  constexpr std::array<std::string_view, 3> names = {"NaN", "Infinity", "-Infinity"};
  const auto found = std::ranges::find_if(names, [&](std::string_view name) { return text.starts_with(name); });
  return found == names.end() ? 0 : found->size();
}

}  // namespace

std::string without_infinities(std::string_view piece) {
  std::string out;
  bool in_text = false;
  for (std::size_t i = 0; i < piece.size(); ++i) {
    const auto skipped = in_text ? 0 : infinity_at(piece.substr(i));
    if (skipped > 0) {
      out += "null";
      i += skipped - 1;
      continue;
    }
    out += piece[i];
    if (piece[i] == '"') in_text = !in_text;
    if (in_text && piece[i] == '\\' && i + 1 < piece.size()) out += piece[++i];
  }
  return out;
}

}  // namespace edgefleet::agent::llm
