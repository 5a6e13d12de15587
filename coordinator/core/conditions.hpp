// The different conditions (`where`) of unfinished tasks, by submitter. Placement keeps a list of executors for each,
// so their number is bounded.
#pragma once

#include <map>
#include <string>

#include "common/core/task.hpp"

namespace edgefleet::coordinator {

class Conditions {
 public:
  void add(const std::string& submitter, const Where& where) {
    if (where.empty()) return;
    if (++by_submitter_[submitter][where] == 1) ++count_;
  }
  void remove(const std::string& submitter, const Where& where) {
    const auto of = by_submitter_.find(submitter);
    if (of == by_submitter_.end()) return;
    const auto found = of->second.find(where);
    if (found == of->second.end() || --found->second > 0) return;
    of->second.erase(found);
    --count_;
    if (of->second.empty()) by_submitter_.erase(of);
  }
  [[nodiscard]] bool has(const std::string& submitter, const Where& where) const {
    const auto of = by_submitter_.find(submitter);
    return where.empty() || (of != by_submitter_.end() && of->second.count(where) > 0);
  }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t count(const std::string& submitter) const {
    const auto of = by_submitter_.find(submitter);
    return of == by_submitter_.end() ? 0 : of->second.size();
  }

 private:
  std::map<std::string, std::map<Where, std::size_t>> by_submitter_;  // number of tasks
  std::size_t count_ = 0;
};

}  // namespace edgefleet::coordinator
