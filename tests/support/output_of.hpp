// What a command prints.
#pragma once

#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace edgefleet::test {

inline std::string output_of(const std::string& command) {
  const auto close = [](std::FILE* pipe) { ::pclose(pipe); };
  const std::unique_ptr<std::FILE, decltype(close)> pipe(::popen(command.c_str(), "r"), close);
  if (!pipe) throw std::runtime_error("no process for: " + command);
  std::string text;
  std::array<char, 4096> piece{};
  for (std::size_t got = 1; got > 0; text.append(piece.data(), got))
    got = std::fread(piece.data(), 1, piece.size(), pipe.get());
  return text;
}

}  // namespace edgefleet::test
