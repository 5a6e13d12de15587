// Writing files durably to the disk, and errors if that fails.
#pragma once

#include <cstddef>
#include <string>
#include <system_error>

#include "common/core/result.hpp"

namespace edgefleet {

// "what: no space left on device"; of kind `full` if the disk or a quota is full.
Error disk_error(const std::string& what, std::error_code why);
Error disk_error(const std::string& what);  // by errno

// False: errno has the reason.
bool write_all(int fd, const char* data, std::size_t bytes);

Status sync_file(const std::string& path);  // fsync(); also for the entries of a folder
Status rename_durably(const std::string& from, const std::string& to);

}  // namespace edgefleet
