#include "edge-agent/executors/process/leftovers.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "common/core/ids.hpp"
#include "edge-agent/executors/process/pidfd.hpp"
#include "edge-agent/executors/process/tree_removal.hpp"

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;

bool digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool name_of_attempt(std::string_view name) {
  const auto dash = name.rfind('-');
  return dash != std::string_view::npos && TaskId::parse(name.substr(0, dash)) && digits(name.substr(dash + 1));
}

bool has_variable(const fs::path& environ_file, const std::string& variable) {
  std::ifstream file(environ_file, std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  const auto at = all.find(variable + '\0');
  return at != std::string::npos && (at == 0 || all[at - 1] == '\0');
}

bool kill_if_marked(pid_t pid, const std::string& variable) {
  // Opened before the check, so that the signal goes to the process that was checked.
  const UniqueFd process = open_pidfd(pid);
  if (!process || !has_variable("/proc/" + std::to_string(pid) + "/environ", variable)) return false;
  return signal_pidfd(process, SIGKILL);
}

}  // namespace

void remove_attempts(const std::string& work_dir, const ExecutorLog& log) {
  std::error_code failure;
  for (fs::directory_iterator it(work_dir, failure); !failure && it != fs::directory_iterator();
       it.increment(failure)) {
    if (!name_of_attempt(it->path().filename().string())) continue;
    const auto removed = remove_tree(it->path().string());
    if (!removed) write_log(log, Severity::warning, removed.error().message);
  }
}

int kill_processes_of(const std::string& name, const std::string& value) {
  const std::string variable = name + '=' + value;
  int killed = 0;
  std::error_code failure;
  for (fs::directory_iterator it("/proc", failure); !failure && it != fs::directory_iterator(); it.increment(failure)) {
    const std::string entry = it->path().filename().string();
    if (!digits(entry)) continue;
    pid_t pid = 0;
    std::from_chars(entry.data(), entry.data() + entry.size(), pid);
    if (pid > 1 && pid != ::getpid() && kill_if_marked(pid, variable)) ++killed;
  }
  return killed;
}

}  // namespace edgefleet::agent
