// The errors of many tasks, grouped: a batch with a thousand failures has a few kinds of them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/core/document.hpp"

namespace edgefleet::cli {

class ErrorCounts {
 public:
  void add(const Document& answer);  // of GET /api/v1/tasks
  // "  12 x exit_status: exit code 1", the most frequent first.
  [[nodiscard]] std::vector<std::string> lines() const;

 private:
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace edgefleet::cli
