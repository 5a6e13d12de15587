// Is everything in a data directory, or in a backup, as it was written?
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
  std::vector<std::string> problems;  // sentences, the first hundred
  std::uint64_t problem_count = 0;
  std::vector<std::string> advice;  // what to do about them
  std::vector<std::string> notes;   // nothing is wrong with these
};

// Reads only, and may run beside a coordinator. An error: it could not be checked at all.
Result<CheckReport> check_data(const std::string& data, const Tell& tell);

}  // namespace edgefleet::coordinator
