// The id of an artifact is derived from its content.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet {

inline constexpr std::string_view artifact_prefix = "sha256-";

// `sha256-` and 64 lower-case hexadecimal digits. Only such an id may become part of a path.
inline bool valid_artifact_id(std::string_view id) {
  if (id.size() != artifact_prefix.size() + 64 || id.substr(0, artifact_prefix.size()) != artifact_prefix) return false;
  const auto digits = id.substr(artifact_prefix.size());
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// What a client hears about one that is not stored, or that it may not know of.
inline Error no_such_artifact(std::string_view id) {
  return {"artifact " + std::string(id.substr(0, 80)) + " does not exist; upload it with PUT /api/v1/artifacts",
          ErrorKind::not_found};
}

}  // namespace edgefleet
