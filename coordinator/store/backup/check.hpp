// Checks that a data directory or a backup is undamaged.
#pragma once

#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

struct CheckReport {
  int schema = 0;
  std::uint64_t tasks = 0;
  std::uint64_t batches = 0;
  std::uint64_t artifacts = 0;
  std::uint64_t artifact_bytes = 0;
  std::vector<std::string> problems;  // sentences, at most 100
  std::uint64_t problem_count = 0;
  std::vector<std::string> advice;  // how to fix the problems
  std::vector<std::string> notes;   // remarks that are not problems
};

// Only reads, and may run while a coordinator runs. An error: the check could not run.
Result<CheckReport> check_data(const std::string& data, const Tell& tell);

}  // namespace edgefleet::coordinator
