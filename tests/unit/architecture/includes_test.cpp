// Dependencies point inward: what each room may include.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"

namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::vector<std::string>> may_include{
    {"common/core", {"common/core/"}},
    {"common/protocol", {"common/core/", "common/protocol/", "<nlohmann/"}},
    {"common/mqtt", {"common/core/", "common/mqtt/", "<mqtt/"}},
    {"common/runtime", {"common/core/", "common/runtime/", "<CLI/", "<toml++/", "<spdlog/"}},
    {"common/http", {"common/core/", "common/http/", "<nlohmann/", "<curl/"}},
    {"common/files", {"common/core/", "common/files/", "<openssl/"}},
    {"coordinator/core", {"common/core/", "coordinator/core/"}},
    {"coordinator/store",
     {"common/core/", "common/files/", "common/protocol/", "coordinator/core/", "coordinator/store/", "<SQLiteCpp/"}},
    {"edge-agent/core", {"common/core/", "edge-agent/core/"}},
    {"edge-agent/sensors", {"common/core/", "edge-agent/sensors/"}},
    {"edge-agent/executors",
     {"common/core/", "common/http/", "common/protocol/", "common/runtime/", "edge-agent/executors/", "<nlohmann/"}},
    {"cli/core", {"common/core/", "common/protocol/", "cli/core/", "<nlohmann/"}},
};

bool is_source(const fs::path& path) { return path.extension() == ".cpp" || path.extension() == ".hpp"; }

// The standard library's and the system's headers have no folder of a library in front.
bool of_a_library_or_ours(const std::string& include) {
  const auto slash = include.find('/');
  if (include.front() == '"') return true;
  if (slash == std::string::npos) return false;
  const std::string folder = include.substr(1, slash - 1);
  return folder != "sys" && folder != "ext" && folder != "netinet" && folder != "linux" && folder != "arpa";
}

bool allowed(const std::string& include, const std::vector<std::string>& rules) {
  return std::any_of(rules.begin(), rules.end(), [&](const std::string& rule) {
    const std::string begin = rule.front() == '<' ? rule : '"' + rule;
    return include.starts_with(begin);
  });
}

}  // namespace

TEST_CASE("every room includes only what its place allows") {
  std::size_t files = 0;
  for (const auto& [room, rules] : may_include) {
    for (const auto& entry : fs::recursive_directory_iterator(std::string(EDGEFLEET_SOURCE_DIR "/") + room)) {
      if (!is_source(entry.path())) continue;
      ++files;
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("#include ")) continue;
        const std::string include = line.substr(9);
        INFO(entry.path().string() << ": " << include);
        CHECK((!of_a_library_or_ours(include) || allowed(include, rules)));
      }
    }
  }
  CHECK(files > 50);
}

TEST_CASE("only the adapter includes Paho") {
  for (const char* room : {"common", "coordinator", "edge-agent", "cli"}) {
    for (const auto& entry : fs::recursive_directory_iterator(std::string(EDGEFLEET_SOURCE_DIR "/") + room)) {
      if (!is_source(entry.path()) || entry.path().filename() == "paho_client.cpp") continue;
      std::ifstream file(entry.path());
      const std::string text((std::istreambuf_iterator<char>(file)), {});
      INFO(entry.path().string());
      CHECK(text.find("#include <mqtt/") == std::string::npos);
    }
  }
}
