// Values of a settings file: the names of their types and their position, for all error messages.
#pragma once

#include <toml++/toml.h>
#include <string>
#include <string_view>
#include <type_traits>

namespace edgefleet {

enum class TomlType { text, integer, number, boolean };

template <typename T>
constexpr TomlType toml_type_of() {
  if (std::is_same_v<T, bool>) return TomlType::boolean;
  if (std::is_integral_v<T>) return TomlType::integer;
  return std::is_floating_point_v<T> ? TomlType::number : TomlType::text;
}

constexpr std::string_view name_of(TomlType type) {
  switch (type) {
    case TomlType::text:
      return "a string";
    case TomlType::integer:
      return "a whole number";
    case TomlType::number:
      return "a number";
    case TomlType::boolean:
      break;
  }
  return "true or false";
}

// "agent.toml, line 7: "
inline std::string place_in(const std::string& file, const toml::node& node) {
  return file + ", line " + std::to_string(node.source().begin.line) + ": ";
}

}  // namespace edgefleet
