// Files of the spools.
#pragma once

#include <string>
#include <vector>

#include "common/core/result.hpp"

namespace edgefleet::agent {

std::vector<std::string> files_in(const std::string& folder);  // paths, sorted; none if there is no such folder

// Moves a file to its name when all of it is on the disk; removes it otherwise.
Status publish(const std::string& from, const std::string& to);

}  // namespace edgefleet::agent
