// The attempts in each message that is on its way, so that a message which the broker refuses for good ends just these.
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "common/core/task.hpp"
#include "common/mqtt/port.hpp"

namespace edgefleet::mqtt {

class Deliveries {
 public:
  // Of a payload with several elements.
  [[nodiscard]] std::size_t most_bytes() const { return most_bytes_; }
  // Returns the id for the message.
  std::uint64_t sent(std::vector<AttemptKey> attempts, std::size_t payload_bytes) {
    on_the_way_[++last_id_] = {std::move(attempts), payload_bytes};
    return last_id_;
  }
  // A connection begins: nothing is on its way.
  void connected(const BrokerLimits& limits) {
    on_the_way_.clear();
    most_bytes_ = std::min(limits::payload_bytes, limits.packet_bytes - std::min(limits.packet_bytes, around_payload));
  }
  void delivered(std::uint64_t id) { on_the_way_.erase(id); }
  // Returns the attempt that can never be delivered. If there were several in the message, it was their sum that was
  // too large, perhaps: none, and they are sent again in smaller messages.
  std::vector<AttemptKey> refused(std::uint64_t id) {
    const auto found = on_the_way_.find(id);
    if (found == on_the_way_.end()) return {};
    const auto [attempts, bytes] = std::move(found->second);
    on_the_way_.erase(found);
    if (attempts.size() <= 1) return attempts;
    most_bytes_ = std::min(most_bytes_, bytes / 2);
    return {};
  }

 private:
  struct Message {
    std::vector<AttemptKey> attempts;
    std::size_t payload_bytes = 0;
  };
  std::map<std::uint64_t, Message> on_the_way_;
  std::uint64_t last_id_ = 0;
  std::size_t most_bytes_ = limits::payload_bytes;
};

}  // namespace edgefleet::mqtt
