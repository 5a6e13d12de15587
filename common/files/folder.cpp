#include "common/files/folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "common/files/durable_write.hpp"

namespace edgefleet {
namespace {

namespace fs = std::filesystem;

// With a slash at its end, a link would be followed.
std::string plain(const std::string& path) {
  std::string text = fs::path(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

Error refused(const std::string& path, const std::string& option, const std::string& why) {
  return {"the folder " + path + " (" + option + ") " + why, ErrorKind::invalid};
}

Status check(const std::string& path, const std::string& option, const struct stat& info) {
  if (S_ISLNK(info.st_mode)) {
    std::error_code failure;
    const auto target = fs::canonical(path, failure);
    return refused(path, option,
                   "is a symbolic link; name the folder itself" + (failure ? "" : ": " + target.string()));
  }
  if (!S_ISDIR(info.st_mode)) return refused(path, option, "is not a folder");
  if (info.st_uid != ::geteuid()) {
    return refused(path, option,
                   "belongs to user " + std::to_string(info.st_uid) + ", but this program runs as user " +
                       std::to_string(::geteuid()) + ": run it as that user, run `chown -R " +
                       std::to_string(::geteuid()) + ' ' + path + "`, or name another folder");
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", info.st_mode & 07777U);
    return refused(path, option,
                   "can be changed by other users (mode " + std::string(mode.data()) + "): run `chmod go-w " + path +
                       "`, or name another folder");
  }
  return success();
}

}  // namespace

Status make_private_folder(const std::string& path, const std::string& option) {
  const std::string folder = plain(path);
  std::error_code failure;
  fs::create_directories(folder, failure);
  struct stat info{};
  if (::lstat(folder.c_str(), &info) != 0)
    return disk_error("cannot create the folder " + folder + " (" + option + ")", failure);
  return check(folder, option, info);
}

Status check_private_folder(const std::string& path, const std::string& option) {
  const std::string folder = plain(path);
  struct stat info{};
  if (::lstat(folder.c_str(), &info) == 0) return check(folder, option, info);
  return errno == ENOENT ? success() : Status(disk_error("cannot use the folder " + folder + " (" + option + ")"));
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

Status FolderLock::take(const std::string& folder, const std::string& in_use) {
  const std::string path = folder + "/lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) return disk_error("the folder " + folder + " is not writable (" + path + ")");
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return success();
  if (errno != EWOULDBLOCK) return disk_error("the folder " + folder + " cannot be locked");
  return Error{in_use, ErrorKind::conflict};
}

}  // namespace edgefleet
