#include "coordinator/store/artifacts/files.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "common/core/artifact_id.hpp"
#include "common/core/counts.hpp"
#include "common/files/artifact_digest.hpp"
#include "common/files/durable_write.hpp"

namespace edgefleet::coordinator {
namespace fs = std::filesystem;
namespace {

Status link_or_copy(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) == 0 || errno == EEXIST) return success();
  if (errno == ENOENT) return success();  // removed in the meantime: no task names it any longer
  const std::string partial = to + ".partial";
  std::error_code failure;
  fs::copy_file(from, partial, fs::copy_options::overwrite_existing, failure);
  if (!failure) fs::rename(partial, to, failure);
  if (!failure) return success();
  std::error_code ignored;
  fs::remove(partial, ignored);
  return disk_error("copying " + from + " to " + to, failure);
}

}  // namespace

std::string artifact_path(const std::string& folder, const std::string& id) {
  return folder + "/" + id.substr(artifact_prefix.size(), 2) + "/" + id;
}

Status keep_durably(const std::string& from, const std::string& to) {
  const fs::path folder = fs::path(to).parent_path();
  std::error_code failure;
  const bool created = fs::create_directory(folder, failure);
  if (failure) return disk_error("making the folder " + folder.string(), failure);
  if (created) {
    if (auto synced = sync_file(folder.parent_path()); !synced) return synced;
  }
  return rename_durably(from, to);
}

Status for_each_artifact(const std::string& folder,
                         const std::function<void(const std::string& id, std::uint64_t bytes)>& use,
                         const std::function<void(const std::string& path)>& strange) {
  std::error_code failure;
  if (!fs::exists(folder, failure)) return success();
  fs::recursive_directory_iterator it(folder, failure);
  for (const fs::recursive_directory_iterator end; !failure && it != end; it.increment(failure)) {
    if (it->path().filename() == "incoming") {  // uploads in progress
      it.disable_recursion_pending();
      continue;
    }
    std::error_code gone;
    if (!it->is_regular_file(gone)) continue;
    const auto bytes = it->file_size(gone);
    if (gone) continue;
    const std::string id = it->path().filename();
    if (valid_artifact_id(id) && it->path() == artifact_path(folder, id)) {
      use(id, bytes);
    } else if (strange) {
      strange(it->path());
    }
  }
  return failure ? Status(disk_error("reading " + folder, failure)) : success();
}

Result<std::string> artifact_id_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  ArtifactDigest digest;
  std::array<char, 64 * 1024> buffer{};
  while (file.read(buffer.data(), buffer.size()), file.gcount() > 0) {
    digest.add(buffer.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof()) return disk_error(path + " cannot be read");
  return digest.id();
}

Result<Taken> take_artifacts(const std::string& from, const std::string& to, const Tell& tell) {
  Taken taken;
  Status status = success();
  Progress progress(tell);
  const auto take = [&](const std::string& id, std::uint64_t bytes) {
    if (!status) return;
    const std::string target = artifact_path(to, id);
    std::error_code failure;
    fs::create_directories(fs::path(target).parent_path(), failure);
    status = failure ? Status(disk_error("making a folder for " + target, failure))
                     : link_or_copy(artifact_path(from, id), target);
    ++taken.files;
    taken.bytes += bytes;
    progress.at([&] { return std::to_string(taken.files) + " artifacts, " + show_bytes(taken.bytes); });
  };
  auto listed = for_each_artifact(from, take);
  if (!listed) return listed.error();
  if (!status) return status.error();
  return taken;
}

}  // namespace edgefleet::coordinator
