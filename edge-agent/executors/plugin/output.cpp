#include "edge-agent/executors/plugin/output.hpp"

#include <filesystem>
#include <map>

#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"
#include "edge-agent/executors/files/artifacts.hpp"

namespace edgefleet::agent {
namespace {

class OutputFiles {
 public:
  OutputFiles(const Scratch& scratch, const FileLimits& limits, ArtifactStore& store, const std::stop_token& stop)
      : scratch_(scratch), limits_(limits), store_(store), stop_(stop) {}

  Result<MemberEdits> edits_for(const json::Object& object) {
    const auto value = object.find("file");
    const auto path = value ? json::as_string(*value) : std::nullopt;
    if (!path) return MemberEdits{};
    // A repeated part of its input: the path has no meaning outside this device.
    if (object.find("artifact")) return MemberEdits{{"file", std::nullopt}};
    auto file = stored(*path);
    if (!file) return file.error();
    return MemberEdits{{"file", std::nullopt},
                       {"artifact", json::quoted(file->artifact)},
                       {"name", json::quoted(file->name)},
                       {"bytes", std::to_string(file->bytes)}};
  }

 private:
  Result<StoredFile> stored(const std::string& path) {
    if (const auto known = files_.find(path); known != files_.end()) return known->second;
    if (!path.starts_with("out/") || path.find('\0') != std::string::npos) {
      return Error{"the output names the file \"" + std::string(cut_front(path, 200)) + "\", which is not below out/",
                   ErrorKind::invalid};
    }
    auto file = open_beneath(scratch_.dir(), path);
    if (!file) return file.error().context("the output names a file");
    bytes_ += file->bytes;
    if (files_.size() == limits_.files || bytes_ > limits_.bytes) {
      return Error{"the output names more than " + std::to_string(limits_.files) + " files or " +
                       std::to_string(limits_.bytes) + " bytes",
                   ErrorKind::too_large};
    }
    auto artifact = store_.store(file->path(), stop_);
    if (!artifact) return transfer_error(artifact.error(), "storing " + path);
    if (file->has_changed()) return changed_while_stored(path);
    return files_[path] = {*artifact, std::filesystem::path(path).filename().string(), file->bytes};
  }

  const Scratch& scratch_;
  const FileLimits& limits_;
  ArtifactStore& store_;
  const std::stop_token& stop_;
  std::uint64_t bytes_ = 0;
  std::map<std::string, StoredFile> files_;
};

}  // namespace

Result<std::string> store_output_files(std::string_view output, const Scratch& scratch, const FileLimits& limits,
                                       ArtifactStore& store, const std::stop_token& stop) {
  OutputFiles files(scratch, limits, store, stop);
  return edit_objects(output, [&files](const json::Object& object) { return files.edits_for(object); });
}

}  // namespace edgefleet::agent
