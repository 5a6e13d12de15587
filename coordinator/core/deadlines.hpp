// At most one deadline for each key; the earliest is found at once.
#pragma once

#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "common/core/time.hpp"

namespace edgefleet::coordinator {

template <typename Key>
class Deadlines {
 public:
  void set(const Key& key, Time at) {
    clear(key);
    by_key_.emplace(key, at);
    by_time_.emplace(at, key);
  }
  void clear(const Key& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    by_time_.erase({found->second, key});
    by_key_.erase(found);
  }
  [[nodiscard]] bool has(const Key& key) const { return by_key_.count(key) > 0; }
  [[nodiscard]] std::optional<Time> next() const {
    if (by_time_.empty()) return std::nullopt;
    return by_time_.begin()->first;
  }
  // Removes and returns those that have passed, earliest first.
  std::vector<Key> take_due(Time now) {
    std::vector<Key> due;
    while (!by_time_.empty() && by_time_.begin()->first <= now) {
      due.push_back(by_time_.begin()->second);
      by_key_.erase(due.back());
      by_time_.erase(by_time_.begin());
    }
    return due;
  }

 private:
  std::set<std::pair<Time, Key>> by_time_;
  std::unordered_map<Key, Time> by_key_;
};

}  // namespace edgefleet::coordinator
