// Files that must be on the disk, and what to say when they cannot be.
#pragma once

#include <cstddef>
#include <string>
#include <system_error>

#include "common/core/result.hpp"

namespace edgefleet {

// "what: no space left on device"; of kind `full` where that, or a quota, is the reason.
Error disk_error(const std::string& what, std::error_code why);
Error disk_error(const std::string& what);  // by errno

// False: errno says why.
bool write_all(int fd, const char* data, std::size_t bytes);

Status sync_file(const std::string& path);  // onto the disk; a folder's entries too
Status rename_durably(const std::string& from, const std::string& to);

}  // namespace edgefleet
