#include "common/core/counts.hpp"

#include <array>
#include <cstddef>
#include <cstdio>

namespace edgefleet {

std::string grouped(std::uint64_t number) {
  auto text = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::string counted(std::uint64_t number, std::string_view one, std::string_view many) {
  return grouped(number) + " " + std::string(number == 1 ? one : many);
}

std::string show_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 4> names = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return counted(bytes, "byte", "bytes");
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; size >= 1023.95 && unit + 1 < names.size(); ++unit) size /= 1024;
  std::array<char, 32> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), "%.1f %s", size, names[unit]);
  return {buffer.data(), static_cast<std::size_t>(length)};
}

}  // namespace edgefleet
