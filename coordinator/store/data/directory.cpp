#include "coordinator/store/data/directory.hpp"

#include <fcntl.h>
#include <unistd.h>

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

constexpr std::uintmax_t reserve_bytes = 1U << 20U;

std::string reserve_path(const std::string& directory) { return directory + "/reserve"; }

}  // namespace

void free_reserve_if_needed(const std::string& directory) {
  std::error_code failure;
  const auto space = std::filesystem::space(directory, failure);
  if (!failure && space.available < reserve_bytes) std::filesystem::remove(reserve_path(directory), failure);
}

void keep_reserve(const std::string& directory) {
  const std::string path = reserve_path(directory);
  std::error_code failure;
  const auto space = std::filesystem::space(directory, failure);
  if (failure || space.available < 8 * reserve_bytes || std::filesystem::exists(path, failure)) return;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (posix_fallocate(fd, 0, static_cast<off_t>(reserve_bytes)) != 0) std::filesystem::remove(path, failure);
  close(fd);
}

}  // namespace edgefleet::coordinator
