// Remembers which agent has read the beginning of a conversation: its model server may still have it in its cache. A
// conversation is identified by the hash of its messages so far. Bounded: the least recently used entry is removed.
#pragma once

#include <cstdint>
#include <list>
#include <ranges>
#include <unordered_map>
#include <vector>

#include "common/core/ids.hpp"

namespace edgefleet::coordinator {

class Conversations {
 public:
  static constexpr std::size_t most = 10'000;

  // `beginnings`: hashes of the first one, two, ... messages. Returns the agent that was given the longest of them;
  // empty: none.
  [[nodiscard]] AgentName holder(const std::vector<std::uint64_t>& beginnings) const {
    for (const std::uint64_t hash : std::views::reverse(beginnings)) {
      if (const auto found = held_.find(hash); found != held_.end()) return found->second.agent;
    }
    return {};
  }

  void given(std::uint64_t whole, const AgentName& agent) {
    const auto [entry, added] = held_.try_emplace(whole);
    if (!added) age_.erase(entry->second.at);
    age_.push_back(whole);
    entry->second = Held{agent, std::prev(age_.end())};
    if (held_.size() <= most) return;
    held_.erase(age_.front());
    age_.pop_front();
  }

 private:
  struct Held {
    AgentName agent;
    std::list<std::uint64_t>::iterator at;
  };
  std::unordered_map<std::uint64_t, Held> held_;
  std::list<std::uint64_t> age_;  // oldest first
};

}  // namespace edgefleet::coordinator
