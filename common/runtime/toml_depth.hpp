// Whether a TOML text is too deep for the parser, which recurses for each part of a key and for each level of a value,
// and so would overflow the stack of the program. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace edgefleet {

inline constexpr std::size_t most_key_parts = 32;
inline constexpr std::size_t most_toml_levels = 32;  // of arrays and inline tables

struct TomlTooDeep {
  std::size_t line = 0;
  std::string what;
};

// None: the text can be parsed, which tells whether it is right.
std::optional<TomlTooDeep> find_too_deep(std::string_view text);

}  // namespace edgefleet
