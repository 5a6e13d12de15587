// Splits chunks of bytes into lines, with a bound on the memory that a line without an end can take.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace edgefleet {

class LineReader {
 public:
  enum class Overlong {
    drop,  // it is not delivered
    cut,   // its first `longest` bytes are delivered
  };
  using OnLine = std::function<void(std::string_view)>;  // without the newline, and the \r before it

  LineReader(std::size_t longest, Overlong overlong) : longest_(longest), overlong_(overlong) {}

  void set_longest(std::size_t longest) { longest_ = longest; }
  [[nodiscard]] std::size_t longest() const { return longest_; }
  void feed(std::string_view bytes, const OnLine& on_line);
  // Delivers the bytes after the last newline as a line: for the end of the stream.
  void finish(const OnLine& on_line);
  // Number of overlong lines since the last call. A line counts as soon as it is overlong, so that an endless line
  // is noticed.
  std::size_t take_overlong() { return std::exchange(overlong_seen_, 0); }
  [[nodiscard]] std::size_t buffered() const { return buffer_.size(); }

 private:
  void collect(std::string_view part);
  void end_line(const OnLine& on_line);

  std::size_t longest_;
  Overlong overlong_;
  std::string buffer_;
  bool in_overlong_ = false;
  std::size_t overlong_seen_ = 0;
};

}  // namespace edgefleet
