// The kernel's Landlock, by its system calls: a process gives up rights to files for itself and its descendants. A
// right to a folder is one to everything below it, and whatever no rule allows is refused.
#pragma once

#include <cstdint>

#include "common/core/result.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent::landlock {

// What a ruleset refuses unless a rule allows it. Listing folders is not part of it: a right to list `/` would be one
// to list everything. What only concerns devices is not either: no device is hidden.
struct Rights {
  std::uint64_t folder = 0;  // all of them, for a rule about a folder
  std::uint64_t file = 0;    // those that a rule about a file may have
  std::uint64_t scopes = 0;  // refused in any case: signals to processes outside
};
Rights rights_of(int version);

// Of the kernel's Landlock, 1 or more. The error says why there is none.
Result<int> version();

Result<UniqueFd> make_ruleset(const Rights& rights);
// `path`: opened with O_PATH. False: errno has the reason.
bool allow(const UniqueFd& ruleset, const UniqueFd& path, const Rights& rights);

// For this process from now on. Safe after a fork in a process with threads. False: errno has the reason.
bool restrict_self(int ruleset);

}  // namespace edgefleet::agent::landlock
