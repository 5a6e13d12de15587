// Files that decide what a program does: its configuration, and the programs that it starts.
#pragma once

#include <string>

#include "common/core/result.hpp"

namespace edgefleet {

// Refuses a file or folder that others can change: it, or the folder that it is in, belongs to another user than this
// process's or root, or others may write to it. Of a link, both places count. What is on a read-only file system nobody
// can change; in a folder with the sticky bit nobody changes the files of others. An absent path is a success.
// `named`: where the path comes from, for the error.
Status check_trusted(const std::string& path, const std::string& named);

}  // namespace edgefleet
