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
  // A message with the elements from `first` to before `end`, which have an id and an attempt. Returns its id.
  template <typename Element>
  std::uint64_t sent(const std::vector<Element>& elements, std::size_t first, std::size_t end,
                     std::size_t payload_bytes) {
    Message& message = on_the_way_[++last_id_];
    for (; first < end; ++first) message.attempts.push_back({elements[first].id, elements[first].attempt});
    message.payload_bytes = payload_bytes;
    return last_id_;
  }
  // Any event of the client: a connection begins, with nothing on its way; a message was delivered.
  void on(const ClientEvent& event) {
    if (const auto* connected = std::get_if<Connected>(&event)) begin(connected->limits);
    if (const auto* delivered = std::get_if<Delivered>(&event); delivered != nullptr && delivered->ok) {
      on_the_way_.erase(delivered->id);
    }
  }
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
  void begin(const BrokerLimits& limits) {
    on_the_way_.clear();
    most_bytes_ = std::min(limits::payload_bytes, limits.packet_bytes - std::min(limits.packet_bytes, around_payload));
  }

  struct Message {
    std::vector<AttemptKey> attempts;
    std::size_t payload_bytes = 0;
  };
  std::map<std::uint64_t, Message> on_the_way_;
  std::uint64_t last_id_ = 0;
  std::size_t most_bytes_ = limits::payload_bytes;
};

}  // namespace edgefleet::mqtt
