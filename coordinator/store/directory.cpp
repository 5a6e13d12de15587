#include "coordinator/store/directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace edgefleet::coordinator {
namespace {

Error failed(const std::string& what) {
  const int code = errno;
  return Error{what + ": " + std::strerror(code),
               code == ENOSPC || code == EDQUOT ? ErrorKind::full : ErrorKind::internal};
}

}  // namespace

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) close(fd_);
}

Status DirectoryLock::take(const std::string& directory) {
  const std::string path = directory + "/lock";
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return failed("data directory " + directory + " is not ours to write (" + path + ")");
  if (flock(fd_, LOCK_EX | LOCK_NB) == 0) return success();
  if (errno != EWOULDBLOCK) return failed("data directory " + directory + " cannot be locked");
  return Error{"data directory " + directory + " is in use: another coordinator runs on it; stop that one first",
               ErrorKind::conflict};
}

Status sync_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed(path + " cannot be opened");
  const int done = fsync(fd);
  const int code = errno;
  close(fd);
  errno = code;
  return done == 0 ? success() : Status(failed(path + " cannot be written to the disk"));
}

Status rename_durably(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return failed(from + " cannot be renamed to " + to);
  const auto folder = std::filesystem::path(to).parent_path().string();
  return sync_file(folder.empty() ? "." : folder);
}

}  // namespace edgefleet::coordinator
