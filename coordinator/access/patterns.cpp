#include "coordinator/access/patterns.hpp"

#include <algorithm>
#include <sstream>

#include "common/core/joined.hpp"
#include "common/core/utf8.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t most_patterns = 100;
constexpr std::size_t most_pattern_bytes = 200;

bool fits(std::string_view pattern, std::string_view name) {
  std::size_t at = 0;
  std::size_t in = 0;
  std::size_t star = std::string_view::npos;
  std::size_t from = 0;
  while (in < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      from = in;
    } else if (at < pattern.size() && pattern[at] == name[in]) {
      ++at;
      ++in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

}  // namespace

Status check_patterns(const std::vector<std::string>& patterns, const std::string& what) {
  if (patterns.size() > most_patterns) return invalid("at most " + std::to_string(most_patterns) + " " + what);
  for (const auto& pattern : patterns) {
    const bool plain = std::none_of(pattern.begin(), pattern.end(),
                                    [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 127; });
    if (pattern.empty() || pattern.size() > most_pattern_bytes || !plain || valid_utf8(pattern) != pattern) {
      return invalid("\"" + std::string(cut_front(pattern, most_pattern_bytes)) + "\" is not valid in " + what +
                     ": write names, with * for any characters");
    }
  }
  return success();
}

bool any_fits(const std::vector<std::string>& patterns, std::string_view name) {
  return patterns.empty() || std::ranges::any_of(patterns, [&](const auto& pattern) { return fits(pattern, name); });
}

std::string lines_of_patterns(const std::vector<std::string>& patterns) { return joined(patterns, "\n"); }

std::vector<std::string> patterns_of_lines(const std::string& lines) {
  std::vector<std::string> patterns;
  std::istringstream text(lines);
  for (std::string line; std::getline(text, line);) patterns.push_back(std::move(line));
  return patterns;
}

}  // namespace edgefleet::coordinator
