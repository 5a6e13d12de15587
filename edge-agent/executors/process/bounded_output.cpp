#include "edge-agent/executors/process/bounded_output.hpp"

#include <algorithm>

#include "common/core/utf8.hpp"

namespace edgefleet::agent {

void BoundedOutput::append(std::string_view bytes) {
  bytes_ += bytes.size();
  const std::size_t to_head = std::min(half_ - head_.size(), bytes.size());
  head_.append(bytes.substr(0, to_head));
  bytes.remove_prefix(to_head);
  if (bytes.size() >= half_) {  // only its end is kept
    ring_.assign(bytes.substr(bytes.size() - half_));
    ring_begin_ = 0;
    return;
  }
  const std::size_t to_fill = std::min(half_ - ring_.size(), bytes.size());
  ring_.append(bytes.substr(0, to_fill));
  bytes.remove_prefix(to_fill);
  for (const char c : bytes) {
    ring_[ring_begin_] = c;
    ring_begin_ = ring_begin_ + 1 == half_ ? 0 : ring_begin_ + 1;
  }
}

std::string BoundedOutput::tail() const { return ring_.substr(ring_begin_) + ring_.substr(0, ring_begin_); }

std::string BoundedOutput::text(std::size_t bound) const {
  const std::string end = tail();
  if (!truncated(bound)) return valid_utf8(head_ + end);
  const bool whole = head_.size() + end.size() == bytes_;  // all was kept, less is requested
  const std::string all = whole ? head_ + end : std::string();
  const std::string_view first = whole ? all : head_;
  const std::string_view last = whole ? all : end;
  const std::size_t part = std::min(bound / 2, half_);
  const auto kept_first = without_broken_end(first.substr(0, part));
  const auto kept_last = without_broken_begin(last.substr(last.size() - part));
  const std::uint64_t missing = bytes_ - kept_first.size() - kept_last.size();
  return valid_utf8(kept_first) + "\n[... " + std::to_string(missing) + " bytes omitted ...]\n" + valid_utf8(kept_last);
}

}  // namespace edgefleet::agent
