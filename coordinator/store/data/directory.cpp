#include "coordinator/store/data/directory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/files/folder.hpp"

namespace edgefleet::coordinator {

Status DirectoryLock::take(const std::string& directory) {
  if (auto made = make_private_folder(directory, "--data"); !made) return made;
  if (auto safe = check_private_folder(artifacts_path(directory), "--data"); !safe) return safe;
  return lock_.take(directory,
                    "data directory " + directory + " is in use by another coordinator; stop that one first");
}

Status refuse_emptied_database(const std::string& directory) {
  std::error_code failure;
  const auto bytes_of = [&](const std::string& path) {
    const auto bytes = std::filesystem::file_size(path, failure);
    return failure ? std::uintmax_t{0} : bytes;
  };
  const std::string path = database_path(directory);
  if (bytes_of(path) > 0) return success();
  const bool begun =
      std::filesystem::exists(path, failure) && std::filesystem::exists(artifacts_path(directory), failure);
  const bool log_left = bytes_of(path + "-wal") > 0;
  if (!begun && !log_left) return success();
  return Error{path +
               " is empty or missing, although a coordinator has run here: its tasks are lost. Nothing was "
               "changed. `edgefleet-coordinator restore --from BACKUP --data " +
               directory + " --force` restores a backup; to start with an empty database, move " + directory + " away"};
}

namespace {

constexpr std::uint64_t mebibyte = 1U << 20U;
constexpr std::uint64_t largest_reserve = 16 * mebibyte;
constexpr std::uint64_t share_of_file_system = 64;
constexpr std::uint64_t share_of_available = 2;

std::string reserve_path(const std::string& directory) { return directory + "/reserve"; }

std::uint64_t size_or_zero(const std::string& path) {
  std::error_code failure;
  const auto bytes = std::filesystem::file_size(path, failure);
  return failure ? 0 : bytes;
}

}  // namespace

std::uint64_t full_reserve(const std::string& directory) {
  std::error_code failure;
  const auto space = std::filesystem::space(directory, failure);
  if (failure) return mebibyte;
  const std::uint64_t share = space.capacity / share_of_file_system / mebibyte * mebibyte;
  return std::clamp(share, mebibyte, largest_reserve);
}

void free_reserve_if_needed(const std::string& directory) {
  std::error_code failure;
  const auto space = std::filesystem::space(directory, failure);
  if (!failure && space.available < mebibyte) give_back_reserve(directory);
}

bool give_back_reserve(const std::string& directory) {
  const std::string path = reserve_path(directory);
  const std::uint64_t present = size_or_zero(path);
  std::error_code failure;
  if (present > mebibyte) {
    std::filesystem::resize_file(path, present - mebibyte, failure);
    return !failure;
  }
  return std::filesystem::remove(path, failure) && present > 0;
}

bool keep_reserve(const std::string& directory) {
  const std::string path = reserve_path(directory);
  std::error_code failure;
  const auto space = std::filesystem::space(directory, failure);
  if (failure) return false;
  const std::uint64_t whole = full_reserve(directory);
  const std::uint64_t present = size_or_zero(path);
  const std::uint64_t wanted = std::min(whole, present + space.available / share_of_available) / mebibyte * mebibyte;
  if (wanted <= present) return present >= whole;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool kept = posix_fallocate(fd, 0, static_cast<off_t>(wanted)) == 0;
  if (!kept) std::filesystem::resize_file(path, present, failure);
  close(fd);
  return kept && wanted == whole;
}

}  // namespace edgefleet::coordinator
