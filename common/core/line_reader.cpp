#include "common/core/line_reader.hpp"

#include <algorithm>

namespace edgefleet {

void LineReader::feed(std::string_view bytes, const OnLine& on_line) {
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    collect(bytes.substr(0, newline));
    if (newline == std::string_view::npos) return;
    end_line(on_line);
    bytes.remove_prefix(newline + 1);
  }
}

void LineReader::finish(const OnLine& on_line) {
  if (!buffer_.empty() || in_overlong_) end_line(on_line);
}

void LineReader::collect(std::string_view part) {
  if (in_overlong_) return;
  if (buffer_.size() + part.size() <= longest_) {
    buffer_ += part;
    return;
  }
  in_overlong_ = true;
  ++overlong_seen_;
  if (overlong_ == Overlong::cut) {
    buffer_ += part.substr(0, longest_ - std::min(longest_, buffer_.size()));
  } else {
    std::string().swap(buffer_);
  }
}

void LineReader::end_line(const OnLine& on_line) {
  std::string line;
  line.swap(buffer_);
  const bool dropped = std::exchange(in_overlong_, false) && overlong_ == Overlong::drop;
  if (dropped) return;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  on_line(line);
  line.clear();
  buffer_.swap(line);  // keeps the capacity of short lines
  if (buffer_.capacity() > std::size_t{64} * 1024) std::string().swap(buffer_);
}

}  // namespace edgefleet
