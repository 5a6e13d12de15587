// Files that only their owner may read: keys and other secrets.
#pragma once

#include <string>

#include "common/core/result.hpp"

namespace edgefleet {

// Mode 0600, on the disk when it returns. After a kill at any time the file has its old or its new content. Any thread;
// two that write the same file at the same time harm each other.
Status write_private_file(const std::string& path, const std::string& text);

}  // namespace edgefleet
