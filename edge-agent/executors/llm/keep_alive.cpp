#include "edge-agent/executors/llm/keep_alive.hpp"

#include <algorithm>
#include <array>

#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr std::string_view digits = "0123456789";

std::string_view take_while(std::string_view& text, std::string_view letters) {
  const auto taken = text.substr(0, text.find_first_not_of(letters));
  text.remove_prefix(taken.size());
  return taken;
}

// A number with a unit, as in Go's durations.
bool take_step(std::string_view& text) {
  static constexpr std::array<std::string_view, 6> units = {"ns", "us", "ms", "s", "m", "h"};
  const auto number = take_while(text, "0123456789.");
  const auto unit = take_while(text, "nsumh");
  return number.find_first_of(digits) != std::string_view::npos && std::count(number.begin(), number.end(), '.') <= 1 &&
         std::count(units.begin(), units.end(), unit) == 1;
}

bool is_duration(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.empty()) return false;
  while (!text.empty()) {
    if (!take_step(text)) return false;
  }
  return true;
}

}  // namespace

Result<std::string> keep_alive_json(std::string_view text) {
  if (const auto seconds = json::as_integer(text)) return std::to_string(*seconds);
  if (text.size() <= 64 && is_duration(text)) return json::quoted(text);
  return invalid("keep_alive \"" + std::string(cut_front(text, 64)) +
                 "\" is neither a duration such as \"10m\" nor a number of seconds (-1: without end)");
}

}  // namespace edgefleet::agent::llm
