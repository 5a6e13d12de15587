#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace edgefleet {

// A port of TCP, 1 to 65535. None: the text is anything else.
inline std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool good = failure == std::errc{} && rest == text.data() + text.size() && port > 0;
  return good ? std::optional(port) : std::nullopt;
}

}  // namespace edgefleet
