#include "cli/core/error_counts.hpp"

#include <algorithm>
#include <utility>

#include "cli/core/task_view.hpp"
#include "common/core/counts.hpp"

namespace edgefleet::cli {

void ErrorCounts::add(const Document& answer) {
  for (const auto& task : member_of(answer, "tasks")) {
    const auto& error = member_of(task, "error");
    if (error.is_object()) ++counts_[error_text(error)];
  }
}

std::vector<std::string> ErrorCounts::lines() const {
  std::vector<std::pair<std::string, std::uint64_t>> sorted(counts_.begin(), counts_.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> lines;
  for (const auto& [error, count] : sorted) lines.push_back("  " + grouped(count) + " x " + error);
  return lines;
}

}  // namespace edgefleet::cli
