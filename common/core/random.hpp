// Pseudorandom numbers for the cores: a seed comes in, and the same seed gives the same numbers in every simulation.
// Not for secrets.
#pragma once

#include <cstdint>

namespace edgefleet {

// A linear congruential generator (Knuth's MMIX). The low bits of its numbers have short periods; the high ones are
// good enough for jitter (Backoff::pause uses those).
constexpr std::uint64_t next_jitter(std::uint64_t& state) {
  return state = state * 6364136223846793005ULL + 1442695040888963407ULL;
}

// SplitMix64: all bits are good.
constexpr std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31U);
}

}  // namespace edgefleet
