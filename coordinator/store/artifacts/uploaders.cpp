#include "coordinator/store/artifacts/uploaders.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/core/artifact_id.hpp"
#include "common/core/ids.hpp"
#include "common/files/durable_write.hpp"

namespace edgefleet::coordinator {
namespace fs = std::filesystem;
namespace {

// With its entry in the folder above.
Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) == 0) return sync_file(fs::path(path).parent_path());
  return errno == EEXIST ? success() : Status(disk_error(path + " cannot be created"));
}

}  // namespace

std::string Uploaders::path_of(const std::string& name, const std::string& id) const {
  return folder_ + "/" + name + "/" + id;
}

Status Uploaders::load(const SizeOf& size_of) {
  std::error_code failure;
  if (!fs::exists(folder_, failure)) return success();
  fs::recursive_directory_iterator it(folder_, failure);
  for (const fs::recursive_directory_iterator end; !failure && it != end; it.increment(failure)) {
    const std::string id = it->path().filename(), name = it->path().parent_path().filename();
    if (it.depth() != 1 || !valid_artifact_id(id) || !valid_name(name)) continue;
    if (const auto bytes = size_of(id)) {
      note(name, id, *bytes);
    } else {
      ::unlink(it->path().c_str());
    }
  }
  return failure ? Status(disk_error("reading " + folder_, failure)) : success();
}

Status Uploaders::add(const std::string& name, const std::string& id, std::uint64_t bytes) {
  if (has(name, id)) return success();
  if (auto made = make_folder(folder_); !made) return made;
  const std::string folder = folder_ + "/" + name;
  if (auto made = make_folder(folder); !made) return made;
  const int fd = ::open(path_of(name, id).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return disk_error(path_of(name, id) + " cannot be created");
  ::close(fd);
  if (auto synced = sync_file(folder); !synced) return synced;
  note(name, id, bytes);
  return success();
}

void Uploaders::note(const std::string& name, const std::string& id, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  Artifact& artifact = artifacts_[id];
  artifact.bytes = bytes;
  if (artifact.names.insert(name).second) bytes_[name] += bytes;
}

std::uint64_t Uploaders::bytes_of(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = bytes_.find(name);
  return found == bytes_.end() ? 0 : found->second;
}

bool Uploaders::has(const std::string& name, const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = artifacts_.find(id);
  return found != artifacts_.end() && found->second.names.contains(name);
}

void Uploaders::forget(const std::string& id) {
  std::set<std::string> names;
  {
    const std::lock_guard lock(mutex_);
    const auto found = artifacts_.find(id);
    if (found == artifacts_.end()) return;
    names = std::move(found->second.names);
    for (const auto& name : names) {
      const auto sum = bytes_.find(name);
      sum->second -= found->second.bytes;
      if (sum->second == 0) bytes_.erase(sum);
    }
    artifacts_.erase(found);
  }
  for (const auto& name : names) ::unlink(path_of(name, id).c_str());
}

}  // namespace edgefleet::coordinator
