#include "common/runtime/toml_depth.hpp"

#include <algorithm>

namespace edgefleet {
namespace {

// The position behind the string that begins at `at`. Where the string is wrong it does not matter: the parser reads no
// further.
std::size_t behind_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const std::string three(3, quote);
  const bool many_lines = text.substr(at).starts_with(three);
  at += many_lines ? 3 : 1;
  for (; at < text.size(); ++at) {
    if (text[at] == '\\' && quote == '"') {
      ++at;
    } else if (many_lines && text.substr(at).starts_with(three)) {
      // Two more quotes would be the last characters of the string.
      const auto end = text.find_first_not_of(quote, at);
      return std::min({end, at + 5, text.size()});
    } else if (!many_lines && (text[at] == quote || text[at] == '\n')) {
      return at + 1;
    }
  }
  return text.size();
}

}  // namespace

// All dots outside of strings and comments count as parts of a key: a number or a time has one.
std::optional<TomlTooDeep> find_too_deep(std::string_view text) {
  std::size_t parts = 1;
  std::size_t levels = 0;
  for (std::size_t at = 0; at < text.size();) {
    switch (text[at]) {
      case '"':
      case '\'':
        at = behind_string(text, at);
        continue;
      case '#':
        at = std::min(text.find('\n', at), text.size());
        continue;
      case '.':
        ++parts;
        break;
      case '[':
      case '{':
        ++levels;
        parts = 1;
        break;
      case ']':
      case '}':
        levels -= std::min<std::size_t>(levels, 1);
        parts = 1;
        break;
      case '\n':
      case '=':
      case ',':
        parts = 1;
        break;
      default:
        break;
    }
    if (parts > most_key_parts || levels > most_toml_levels) {
      const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
      return TomlTooDeep{static_cast<std::size_t>(line),
                         parts > most_key_parts
                             ? "a key has at most " + std::to_string(most_key_parts) + " parts"
                             : "values are nested in at most " + std::to_string(most_toml_levels) + " levels"};
    }
    ++at;
  }
  return std::nullopt;
}

}  // namespace edgefleet
