#include "edge-agent/shell/spool_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "common/files/durable_write.hpp"

namespace edgefleet::agent {
namespace fs = std::filesystem;

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder, failure)) paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

Status publish(const std::string& from, const std::string& to) {
  auto done = sync_file(from);
  if (done) done = rename_durably(from, to);
  if (!done) ::unlink(from.c_str());
  return done;
}

}  // namespace edgefleet::agent
