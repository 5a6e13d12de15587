#include "common/core/random.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("SplitMix64 returns the values of its reference implementation") {
  std::uint64_t state = 0;
  CHECK(next_random(state) == 0xE220A8397B1DCDAFULL);
  state = 1234567;
  CHECK(next_random(state) == 6457827717110365317ULL);
  CHECK(next_random(state) == 3203168211198807973ULL);
}

TEST_CASE("equal seeds give equal jitter, different seeds different jitter") {
  std::uint64_t state = 1;
  CHECK(next_jitter(state) == 6364136223846793005ULL + 1442695040888963407ULL);
  std::uint64_t again = 1;
  std::uint64_t other = 2;
  CHECK(next_jitter(again) == state);
  CHECK(next_jitter(other) != state);
}

TEST_CASE("the high bits of the jitter are spread over the whole range") {
  std::uint64_t state = 42;
  int upper_half = 0;
  for (int i = 0; i < 10'000; ++i) upper_half += static_cast<int>(next_jitter(state) >> 63U);
  CHECK(upper_half > 4'800);
  CHECK(upper_half < 5'200);
}
