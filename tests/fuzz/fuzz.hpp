// Shared by the fuzzers. The function of a fuzzer gets bytes from libFuzzer, and aborts the program if a rule is
// violated; crashes and findings of the sanitizers abort it by themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace edgefleet::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};  // NOLINT: the input is bytes
}

// `rule`: the sentence that must be true.
inline void require(bool holds, const char* rule) {
  if (holds) return;
  std::fprintf(stderr, "rule violated: %s\n", rule);
  std::abort();
}

// Cuts off the text up to the next newline: for fuzzers that take several pieces of text.
inline std::string_view take_line(std::string_view& rest) {
  const auto end = rest.find('\n');
  const auto line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

}  // namespace edgefleet::fuzz
