#include "coordinator/store/directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "common/files/disk.hpp"

namespace edgefleet::coordinator {

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) close(fd_);
}

Status DirectoryLock::take(const std::string& directory) {
  const std::string path = directory + "/lock";
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return disk_error("data directory " + directory + " is not ours to write (" + path + ")");
  if (flock(fd_, LOCK_EX | LOCK_NB) == 0) return success();
  if (errno != EWOULDBLOCK) return disk_error("data directory " + directory + " cannot be locked");
  return Error{"data directory " + directory + " is in use: another coordinator runs on it; stop that one first",
               ErrorKind::conflict};
}

}  // namespace edgefleet::coordinator
