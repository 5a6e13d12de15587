#include "common/files/trusted.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

namespace edgefleet {
namespace {

namespace fs = std::filesystem;

bool read_only(const std::string& path) {
  struct statvfs info{};
  return ::statvfs(path.c_str(), &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

std::string user_text(uid_t user) { return user == 0 ? "root" : "user " + std::to_string(user); }

std::string mode_text(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode & 07777U);
  return text.data();
}

Status check_one(const std::string& path, const std::string& named) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || read_only(path)) return success();
  const bool folder = S_ISDIR(info.st_mode);
  const std::string what = (folder ? "the folder " : "the file ") + path + " (" + named + ") ";
  const uid_t own = ::geteuid();
  if (info.st_uid != own && info.st_uid != 0) {
    return Error{what + "belongs to user " + std::to_string(info.st_uid) + ", but this program runs as " +
                     user_text(own) + ": run `chown " + std::to_string(own) + ' ' + path + "` or mount it read-only",
                 ErrorKind::invalid};
  }
  const bool sticky = folder && (info.st_mode & S_ISVTX) != 0;
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) == 0 || sticky) return success();
  return Error{
      what + "can be changed by other users (mode " + mode_text(info.st_mode) + "): run `chmod go-w " + path + '`',
      ErrorKind::invalid};
}

}  // namespace

Status check_trusted(const std::string& path, const std::string& named) {
  std::error_code failure;
  const fs::path absolute = fs::absolute(path, failure).lexically_normal();
  const fs::path real = fs::canonical(path, failure);
  if (failure) return success();  // whoever reads it reports that
  for (const auto& one : {real, real.parent_path(), absolute.parent_path()}) {
    if (auto good = check_one(one.string(), named); !good) return good;
  }
  return success();
}

}  // namespace edgefleet
