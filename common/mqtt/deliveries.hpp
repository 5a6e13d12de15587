// The attempts in each message that is on its way, so that a message which the broker never takes ends just these: one
// that it refuses for good, or one that ends the connection each time. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/task.hpp"
#include "common/mqtt/port.hpp"

namespace edgefleet::mqtt {

inline constexpr std::string_view ends_connections =
    "the connection to the broker was lost each time that it was sent; perhaps it is larger than the broker, or a "
    "device on the way, lets pass";

class Deliveries {
 public:
  // An attempt that was in flight at so many losses of the connection is suspected, and from then on sent alone:
  // nothing else is in flight. After three more losses the broker will never take it.
  static constexpr int until_suspected = 2;
  static constexpr int until_given_up = until_suspected + 3;

  // Of a payload with several elements.
  [[nodiscard]] std::size_t most_bytes() const { return most_bytes_; }
  [[nodiscard]] bool suspects(const AttemptKey& key) const {
    const auto found = losses_.find(key);
    return found != losses_.end() && found->second >= until_suspected;
  }
  // The elements for one message or several, and each suspected one by itself, after them.
  template <typename Element>
  [[nodiscard]] std::vector<std::vector<Element>> grouped(std::vector<Element> elements) const {
    std::vector<std::vector<Element>> groups(1);
    for (Element& element : elements) {
      const bool alone = suspects({element.id, element.attempt});
      (alone ? groups.emplace_back() : groups.front()).push_back(std::move(element));
    }
    if (groups.front().empty()) groups.erase(groups.begin());
    return groups;
  }
  // The elements in as few messages as the broker takes, each suspected one in a message of its own.
  // encode(elements, first, most_bytes): the payload with the elements from `first` on; moves `first` behind them.
  // publish(payload, id, alone): `alone` asks that nothing else is in flight.
  template <typename Element, typename Encode, typename Publish>
  void send(std::vector<Element> elements, const Encode& encode, const Publish& publish) {
    for (const auto& group : grouped(std::move(elements))) {
      const bool alone = suspects({group.front().id, group.front().attempt});
      for (std::size_t first = 0; first < group.size();) {
        const std::size_t begin = first;
        auto payload = encode(group, first, most_bytes_);
        const auto id = sent(group, begin, first, payload.size());
        publish(std::move(payload), id, alone);
      }
    }
  }
  // A message with the elements from `first` to before `end`, which have an id and an attempt. Returns its id.
  template <typename Element>
  std::uint64_t sent(const std::vector<Element>& elements, std::size_t first, std::size_t end,
                     std::size_t payload_bytes) {
    Message& message = on_the_way_[++last_id_];
    for (; first < end; ++first) message.attempts.push_back({elements[first].id, elements[first].attempt});
    message.payload_bytes = payload_bytes;
    return last_id_;
  }
  // A message without attempts that tells whether the broker takes messages of its size.
  std::uint64_t sent(std::size_t payload_bytes) {
    on_the_way_[++last_id_].payload_bytes = payload_bytes;
    return last_id_;
  }
  // For a message that another part follows.
  std::uint64_t new_id() { return ++last_id_; }
  // The message has been passed to the client: it is in flight.
  void passed_on(std::uint64_t id) {
    if (const auto found = on_the_way_.find(id); found != on_the_way_.end()) found->second.in_flight = true;
  }
  // Any event of the client: a connection begins or ends, a message was delivered. Returns the attempts that ended too
  // many connections.
  std::vector<AttemptKey> on(const ClientEvent& event) {
    if (const auto* connected = std::get_if<Connected>(&event)) begin(connected->limits);
    if (std::holds_alternative<ConnectionLost>(event)) return lost();
    if (const auto* delivered = std::get_if<Delivered>(&event); delivered != nullptr && delivered->ok) {
      forget(delivered->id);
    }
    return {};
  }
  // Returns the attempt that can never be delivered. If there were several in the message, it was their sum that was
  // too large, perhaps: none, and they are sent again in smaller messages.
  std::vector<AttemptKey> refused(std::uint64_t id) {
    const auto found = on_the_way_.find(id);
    if (found == on_the_way_.end()) return {};
    Message message = std::move(found->second);
    on_the_way_.erase(found);
    if (message.attempts.size() == 1) return std::move(message.attempts);
    most_bytes_ = std::min(most_bytes_, message.payload_bytes / 2);
    return {};
  }

 private:
  void begin(const BrokerLimits& limits) {
    on_the_way_.clear();
    most_bytes_ = std::min(limits::payload_bytes, limits.packet_bytes - std::min(limits.packet_bytes, around_payload));
  }
  void forget(std::uint64_t id) {
    const auto found = on_the_way_.find(id);
    if (found == on_the_way_.end()) return;
    for (const AttemptKey& key : found->second.attempts) losses_.erase(key);
    on_the_way_.erase(found);
  }
  std::vector<AttemptKey> lost() {
    std::vector<AttemptKey> given_up;
    if (losses_.size() > most_losses) losses_.clear();
    for (const auto& [id, message] : std::exchange(on_the_way_, {})) {
      if (!message.in_flight) continue;
      for (const AttemptKey& key : message.attempts) {
        if (++losses_[key] < until_given_up) continue;
        losses_.erase(key);
        given_up.push_back(key);
      }
    }
    return given_up;
  }

  struct Message {
    std::vector<AttemptKey> attempts;
    std::size_t payload_bytes = 0;
    bool in_flight = false;
  };
  static constexpr std::size_t most_losses = 10'000;
  std::map<std::uint64_t, Message> on_the_way_;
  std::map<AttemptKey, int> losses_;  // of the connection, while it was in flight; until it is delivered
  std::uint64_t last_id_ = 0;
  std::size_t most_bytes_ = limits::payload_bytes;
};

}  // namespace edgefleet::mqtt
