// Collects a body piece by piece. It grows by blocks and frees each one when its bytes have gone on, so that it takes
// hardly more memory than the body at any time; a string that grows takes up to three times as much.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace edgefleet::http_server {

class BodyBuffer {
 public:
  static constexpr std::size_t block_bytes = std::size_t{1} << 20U;

  void append(std::string_view bytes) {
    size_ += bytes.size();
    while (!bytes.empty()) {
      if (blocks_.empty() || blocks_.back().size() == block_bytes) add_block();
      const auto next = bytes.substr(0, block_bytes - blocks_.back().size());
      blocks_.back().append(next);
      bytes.remove_prefix(next.size());
    }
  }
  [[nodiscard]] std::size_t size() const { return size_; }

  // Passes on its blocks until `take` returns false; the buffer is empty then.
  template <typename Take>
  void pass_on(Take take) {
    size_ = 0;
    for (bool goes_on = true; !blocks_.empty(); blocks_.pop_front()) goes_on = goes_on && take(blocks_.front());
  }

  // The whole body; the buffer is empty then.
  std::string whole() {
    std::string all;
    if (blocks_.size() == 1) all.swap(blocks_.front());
    all.reserve(size_);  // pages that are not written yet take no memory
    pass_on([&](const std::string& block) {
      all += block;
      return true;
    });
    return all;
  }

 private:
  // The first one grows as it needs: most bodies are small.
  void add_block() {
    if (blocks_.emplace_back(); blocks_.size() > 1) blocks_.back().reserve(block_bytes);
  }

  std::deque<std::string> blocks_;
  std::size_t size_ = 0;
};

}  // namespace edgefleet::http_server
