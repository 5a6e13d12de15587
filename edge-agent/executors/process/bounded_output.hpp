// The output of a command, of any size: its beginning, its end and the true number of bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace edgefleet::agent {

class BoundedOutput {
 public:
  // Keeps `bound` bytes: half from the beginning, half from the end.
  explicit BoundedOutput(std::size_t bound) : half_(bound / 2) {}

  void append(std::string_view bytes);

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool truncated(std::size_t bound) const { return bytes_ > bound || bytes_ > 2 * half_; }
  // Well-formed UTF-8 from at most `bound` of the kept bytes, with a line between head and tail that has the number of
  // missing bytes.
  [[nodiscard]] std::string text(std::size_t bound) const;
  [[nodiscard]] std::string text() const { return text(2 * half_); }
  [[nodiscard]] std::size_t bound() const { return 2 * half_; }

 private:
  [[nodiscard]] std::string tail() const;

  std::size_t half_;
  std::uint64_t bytes_ = 0;
  std::string head_;
  std::string ring_;  // the last half_ bytes after the head
  std::size_t ring_begin_ = 0;  // position of the oldest byte once the ring is full
};

}  // namespace edgefleet::agent
