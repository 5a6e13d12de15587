// The tokens that each client has used, by UTC day. Kept in the store by the commit that records the results.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/core/task.hpp"
#include "coordinator/core/records.hpp"

namespace edgefleet::coordinator {

inline constexpr std::int64_t ms_of_day = 24LL * 3600 * 1000;
inline std::int64_t day_of(WallTime at) { return at.unix_ms / ms_of_day - (at.unix_ms % ms_of_day < 0 ? 1 : 0); }
inline Duration until_next_day(WallTime at) {
  return std::chrono::milliseconds((day_of(at) + 1) * ms_of_day - at.unix_ms);
}

// Of a text whose tokens nobody has counted.
constexpr std::uint64_t estimated_tokens(std::uint64_t bytes) { return bytes / 4 + 1; }
inline std::uint64_t bytes_of_input(const TaskSpec& spec) {
  return spec.input_at ? spec.input_at->bytes : spec.input.size();
}

class Budgets {
 public:
  // More than one, because a clock that is set returns to a day that it had left.
  static constexpr std::size_t most_days = 3;
  static constexpr std::size_t most_clients = 20'000;  // a day; beyond, the one that has used least is forgotten

  [[nodiscard]] std::uint64_t used(std::string_view client, std::int64_t day) const {
    const auto of_day = days_.find(day);
    if (of_day == days_.end()) return 0;
    const auto found = of_day->second.find(client);
    return found == of_day->second.end() ? 0 : found->second;
  }
  void count(std::string_view client, std::int64_t day, std::uint64_t tokens) {
    Uses& uses = of_day(day);
    auto found = uses.find(client);
    if (found == uses.end()) {
      if (uses.size() >= most_clients) forget_least(uses);
      found = uses.emplace(std::string(client), 0).first;
    }
    found->second += tokens;
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };
  using Uses = std::unordered_map<std::string, std::uint64_t, Hash, std::equal_to<>>;

  Uses& of_day(std::int64_t day) {
    if (days_.size() >= most_days && days_.count(day) == 0) days_.erase(days_.begin());
    return days_[day];
  }
  static void forget_least(Uses& uses) {
    uses.erase(
        std::min_element(uses.begin(), uses.end(), [](const auto& a, const auto& b) { return a.second < b.second; }));
  }

  std::map<std::int64_t, Uses> days_;
};

}  // namespace edgefleet::coordinator
