#include "edge-agent/executors/process/environment.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "common/files/trusted.hpp"

namespace edgefleet::agent {
namespace {

// The agent's own folder first: it has the programs that are installed with the agent.
const std::string& default_path() {
  static const std::string path = [] {
    std::error_code failure;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", failure);
    return (failure ? std::string() : self.parent_path().string() + ":") +
           "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
  }();
  return path;
}

bool executable(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

Result<std::string> trusted_program(std::string path) {
  if (auto trusted = check_trusted(path, "a program"); !trusted) return trusted.error();
  return path;
}

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool variable(std::string_view name) {
  return !name.empty() && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

Status check_environment(const Environment& env) {
  for (const auto& [key, value] : env) {
    if (!variable(key)) return Error{"env: '" + key + "' is not the name of a variable", ErrorKind::invalid};
    if (value.find('\0') != std::string::npos) return Error{"env: " + key + " contains a NUL", ErrorKind::invalid};
  }
  return success();
}

Environment make_environment(const Environment& configured, const std::string& home) {
  Environment env{{"PATH", default_path()}, {"LANG", "C.UTF-8"}, {"HOME", home}, {"TMPDIR", home}};
  for (const auto& [key, value] : configured) env[key] = value;
  return env;
}

std::string_view path_of(const Environment& env) {
  const auto path = env.find("PATH");
  return path == env.end() ? std::string_view(default_path()) : std::string_view(path->second);
}

Result<std::string> find_program(const std::string& name, std::string_view path) {
  if (name.find('/') != std::string::npos) {
    std::error_code failure;
    auto absolute = std::filesystem::absolute(name, failure).string();
    if (!failure && executable(absolute)) return trusted_program(absolute);
    return Error{"there is no executable " + name, ErrorKind::not_found};
  }
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto colon = std::min(rest.find(':'), rest.size());
    const std::string candidate = std::string(rest.substr(0, colon)) + '/' + name;
    if (colon > 0 && candidate.front() == '/' && executable(candidate)) return trusted_program(candidate);
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return Error{"the program '" + name + "' is not in " + std::string(path), ErrorKind::not_found};
}

}  // namespace edgefleet::agent
