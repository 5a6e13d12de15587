#include "common/files/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files/durable_write.hpp"

namespace edgefleet {

Status write_private_file(const std::string& path, const std::string& text, const std::optional<Owner>& owner) {
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  if (fd < 0) return disk_error(fresh + " cannot be created");
  // An older file of this name may have had another mode.
  const bool written = (!owner || ::fchown(fd, owner->user, owner->group) == 0) &&
                       ::fchmod(fd, S_IRUSR | S_IWUSR) == 0 && write_all(fd, text.data(), text.size()) &&
                       ::fsync(fd) == 0;
  const Error failure = disk_error(fresh + " cannot be written");
  ::close(fd);
  if (!written) return failure;
  return rename_durably(fresh, path);
}

}  // namespace edgefleet
