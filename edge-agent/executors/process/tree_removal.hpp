#pragma once

#include <string>

#include "common/core/result.hpp"

namespace edgefleet::agent {

// Removes a file, or a folder with everything in it, also what its owner made unreadable. Links are not followed; an
// absent path is a success. Takes two descriptors and the names of one folder at a time, however deep the tree is.
Status remove_tree(const std::string& path);

}  // namespace edgefleet::agent
