// The id of an artifact is derived from its content.
#pragma once

#include <algorithm>
#include <string_view>

namespace edgefleet {

inline constexpr std::string_view artifact_prefix = "sha256-";

// `sha256-` and 64 lower-case hexadecimal digits. Only such an id may become part of a path.
inline bool valid_artifact_id(std::string_view id) {
  if (id.size() != artifact_prefix.size() + 64 || id.substr(0, artifact_prefix.size()) != artifact_prefix) return false;
  const auto digits = id.substr(artifact_prefix.size());
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace edgefleet
