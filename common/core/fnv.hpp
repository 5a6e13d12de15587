// FNV-1a, 64 bits: the same on every machine, so it may be stored and sent. Equal values do not prove equal texts:
// nothing that must resist an attacker may depend on it.
#pragma once

#include <cstdint>
#include <string_view>

namespace edgefleet {

inline constexpr std::uint64_t fnv1a_basis = 14695981039346656037ULL;

// `so_far`: the hash of what comes before this text.
constexpr std::uint64_t fnv1a(std::string_view text, std::uint64_t so_far = fnv1a_basis) {
  for (const char c : text) so_far = (so_far ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return so_far;
}

}  // namespace edgefleet
