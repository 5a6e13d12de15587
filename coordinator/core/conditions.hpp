// The different conditions (`where`) of unfinished tasks, by client. Placement keeps a list of executors for each,
// so their number is bounded.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "common/core/task.hpp"

namespace edgefleet::coordinator {

class Conditions {
 public:
  void add(std::string_view client, const Where& where) {
    if (where.empty()) return;
    if (++by_client_[std::string(client)][where] == 1) ++count_;
  }
  void remove(std::string_view client, const Where& where) {
    if (where.empty()) return;
    const auto of = by_client_.find(client);
    if (of == by_client_.end()) return;
    const auto found = of->second.find(where);
    if (found == of->second.end() || --found->second > 0) return;
    of->second.erase(found);
    --count_;
    if (of->second.empty()) by_client_.erase(of);
  }
  [[nodiscard]] bool has(std::string_view client, const Where& where) const {
    const auto of = by_client_.find(client);
    return where.empty() || (of != by_client_.end() && of->second.count(where) > 0);
  }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t count(std::string_view client) const {
    const auto of = by_client_.find(client);
    return of == by_client_.end() ? 0 : of->second.size();
  }

 private:
  std::map<std::string, std::map<Where, std::size_t>, std::less<>> by_client_;  // number of tasks
  std::size_t count_ = 0;
};

}  // namespace edgefleet::coordinator
