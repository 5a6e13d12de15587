// The messages that were received and not handled yet, by sender: one that floods the coordinator leaves room for the
// others. Any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

namespace edgefleet::coordinator {

class InboxShares {
 public:
  // A message of an agent has up to 128 results, and an agent holds at most 1,024: this is a multiple of what it needs.
  static constexpr std::size_t most_of_agent = 512;

  InboxShares(std::size_t most_messages, std::size_t most_bytes)
      : most_messages_of_one_(most_messages / 4), most_bytes_(most_bytes) {}

  // False: no room for it, in the inbox or in the part of it that one sender may have.
  [[nodiscard]] bool reserve(const std::string& sender, std::size_t bytes, bool agent) {
    const std::size_t most = agent ? std::min(most_messages_of_one_, most_of_agent) : most_messages_of_one_;
    const std::lock_guard lock(mutex_);
    if (bytes_ + bytes > most_bytes_) return false;
    Share& share = shares_[sender];
    if (share.messages > 0 && (share.messages >= most || share.bytes + bytes > most_bytes_ / 4)) {
      return false;
    }
    ++share.messages;
    share.bytes += bytes;
    bytes_ += bytes;
    return true;
  }
  void release(const std::string& sender, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes_ -= bytes;
    const auto share = shares_.find(sender);
    share->second.bytes -= bytes;
    if (--share->second.messages == 0) shares_.erase(share);
  }

 private:
  struct Share {
    std::size_t messages = 0;
    std::size_t bytes = 0;
  };
  const std::size_t most_messages_of_one_;
  const std::size_t most_bytes_;
  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::unordered_map<std::string, Share> shares_;  // of senders with at least one message
};

}  // namespace edgefleet::coordinator
