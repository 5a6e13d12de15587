#include "edge-agent/executors/llm/models_folder.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace edgefleet::agent::llm {
namespace {

bool is_there(const std::string& path) {
  struct stat found{};
  return stat(path.c_str(), &found) == 0;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

// Allocated bytes: a partial file is sparse and has the size of the complete file.
std::uint64_t allocated(const std::string& path) {
  struct stat found{};
  return stat(path.c_str(), &found) == 0 ? static_cast<std::uint64_t>(found.st_blocks) * 512 : 0;
}

}  // namespace

std::string ModelsFolder::find(const std::string& configured) {
  if (!configured.empty()) return configured;
  if (auto named = environment("OLLAMA_MODELS"); !named.empty()) return named;
  // The home of the service's user, then that of an interactive user (docs/linux.md and docs/faq.md of Ollama).
  for (const std::string& home : {std::string("/usr/share/ollama"), environment("HOME")}) {
    if (!home.empty() && is_there(home + "/.ollama")) return home + "/.ollama/models";
  }
  return {};
}

std::optional<std::uint64_t> ModelsFolder::free_bytes() const {
  if (path_.empty()) return std::nullopt;
  // It is created with the first model: until then its parent is used.
  for (std::filesystem::path at(path_);; at = at.parent_path()) {
    struct statvfs room{};
    if (statvfs(at.c_str(), &room) == 0) return std::uint64_t{room.f_bavail} * room.f_frsize;
    if (errno != ENOENT || !at.has_relative_path()) return std::nullopt;
  }
}

std::optional<std::uint64_t> ModelsFolder::missing_bytes(const Manifest& manifest) const {
  const std::string blobs = path_ + "/blobs";
  if (access(blobs.c_str(), X_OK) != 0 && errno != ENOENT) return std::nullopt;
  std::uint64_t missing = 0;
  for (const Layer& layer : manifest) {
    std::string file = blobs + "/" + layer.digest;
    std::replace(file.begin() + static_cast<std::ptrdiff_t>(blobs.size()), file.end(), ':', '-');
    if (is_there(file)) continue;
    missing += layer.bytes - std::min(layer.bytes, allocated(file + "-partial"));
  }
  return missing;
}

}  // namespace edgefleet::agent::llm
