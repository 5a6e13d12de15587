#include "common/files/durable_write.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace edgefleet {

Error disk_error(const std::string& what, std::error_code why) {
  const bool full = why == std::errc::no_space_on_device || why == std::error_code(EDQUOT, std::generic_category());
  return Error{what + ": " + why.message(), full ? ErrorKind::full : ErrorKind::internal};
}

Error disk_error(const std::string& what) {
  const std::error_code why(errno, std::generic_category());
  return disk_error(what, why);
}

bool write_all(int fd, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::write(fd, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    data += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return true;
}

Status sync_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return disk_error(path + " cannot be opened");
  const int done = ::fsync(fd);
  const int code = errno;
  ::close(fd);
  errno = code;
  return done == 0 ? success() : Status(disk_error(path + " cannot be written to the disk"));
}

Status rename_durably(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return disk_error(from + " cannot be renamed to " + to);
  const auto folder = std::filesystem::path(to).parent_path().string();
  return sync_file(folder.empty() ? "." : folder);
}

}  // namespace edgefleet
