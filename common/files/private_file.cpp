#include "common/files/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/files/durable_write.hpp"

namespace edgefleet {

Status write_private_file(const std::string& path, const std::string& text, const std::optional<Owner>& owner) {
  const std::string fresh = path + ".new";
  // What an earlier run or somebody else left there may be a pipe, or another name of another file.
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return disk_error(fresh + " cannot be removed");
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  if (fd < 0) return disk_error(fresh + " cannot be created");
  const bool written = (!owner || ::fchown(fd, owner->user, owner->group) == 0) &&
                       ::fchmod(fd, S_IRUSR | S_IWUSR) == 0 && write_all(fd, text.data(), text.size()) &&
                       ::fsync(fd) == 0;
  const Error failure = disk_error(fresh + " cannot be written");
  ::close(fd);
  if (!written) return failure;
  return rename_durably(fresh, path);
}

}  // namespace edgefleet
