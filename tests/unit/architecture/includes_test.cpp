// Dependencies point inward: each folder of sources is a room, and its row says what it may include. A folder without a
// row fails the test.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"

namespace {

namespace fs = std::filesystem;

using Names = std::vector<std::string>;

struct Room {
  Names rooms;  // besides itself
  Names libraries;  // folders in <...>
};
using Rooms = std::map<std::string, Room>;

// clang-format off
const Rooms rooms{
    {"common/core",     {}},
    {"common/system",   {{"common/core"}, {}}},
    {"common/protocol", {{"common/core"}, {"nlohmann"}}},
    {"common/mqtt",     {{"common/core"}, {"mqtt", "openssl"}}},
    {"common/runtime",  {{"common/core", "common/system"}, {"CLI", "toml++", "spdlog"}}},
    {"common/http",     {{"common/core", "common/protocol", "common/system"}, {"nlohmann", "curl"}}},
    {"common/files",    {{"common/core"}, {"openssl"}}},
    {"common/pki",      {{"common/core"}, {"openssl"}}},
    {"common/join",     {{"common/core", "common/files", "common/protocol"}, {}}},
    {"common/logins",   {{"common/core", "common/files", "common/protocol"}, {}}},
    {"common/http_server", {{"common/core", "common/system"}, {"boost", "openssl"}}},

    {"coordinator/core",  {{"common/core"}, {}}},
    {"coordinator/views", {{"common/core", "common/protocol", "common/system", "coordinator/core"}, {}}},
    {"coordinator/store", {{"common/core", "common/protocol", "coordinator/core"}, {}}},
    {"coordinator/store/data",      {{"common/core", "common/files", "common/system"}, {}}},
    {"coordinator/store/sqlite",    {{"common/core", "common/files", "common/protocol", "common/system",
                                      "coordinator/core", "coordinator/store", "coordinator/store/data"}, {"SQLiteCpp"}}},
    {"coordinator/store/artifacts", {{"common/core", "common/files", "common/system", "coordinator/store/data"}, {}}},
    {"coordinator/store/backup",    {{"common/core", "common/files", "common/protocol", "common/system", "coordinator/store",
                                      "coordinator/store/artifacts", "coordinator/store/data",
                                      "coordinator/store/sqlite"}, {"SQLiteCpp"}}},
    {"coordinator/access", {{"common/core", "common/files", "common/join", "common/pki", "common/protocol", "common/system",
                             "coordinator/store/sqlite"},
                            {"openssl", "SQLiteCpp"}}},
    {"coordinator/shell", {{"common/core", "common/files", "common/mqtt", "common/protocol", "common/runtime", "common/system",
                            "coordinator/core", "coordinator/store", "coordinator/store/artifacts",
                            "coordinator/store/data", "coordinator/views"}, {}}},
    {"coordinator/events", {{"common/core", "common/protocol", "common/system", "coordinator/core", "coordinator/shell",
                             "coordinator/views"}, {}}},
    {"coordinator/http",  {{"common/core", "common/http_server", "common/protocol", "coordinator/access", "coordinator/core",
                            "coordinator/events",
                            "coordinator/shell", "coordinator/store"}, {}}},
    {"coordinator/http/agents", {{"common/core", "common/http_server", "common/join", "common/pki", "common/runtime",
                                  "common/system", "coordinator/access", "coordinator/http", "coordinator/http/api",
                                  "coordinator/http/site"}, {}}},
    {"coordinator/http/api", {{"common/core", "common/http_server", "common/join", "common/protocol", "common/runtime",
                               "common/system", "coordinator/access", "coordinator/core", "coordinator/events",
                               "coordinator/http", "coordinator/shell", "coordinator/store", "coordinator/views"}, {}}},
    {"coordinator/http/llm/catalogue", {{"common/core", "common/http_server", "coordinator/core", "coordinator/http",
                                         "coordinator/shell"}, {}}},
    {"coordinator/http/llm/dialects",  {{"common/core", "common/http_server", "common/protocol", "coordinator/core",
                                         "coordinator/http/llm/catalogue"}, {"nlohmann"}}},
    {"coordinator/http/llm/task",      {{"common/core", "common/http_server", "common/protocol", "common/system",
                                         "coordinator/core", "coordinator/http", "coordinator/http/llm/catalogue",
                                         "coordinator/http/llm/dialects", "coordinator/shell"}, {"nlohmann"}}},
    {"coordinator/http/llm",  {{"common/core", "common/http_server", "common/system", "coordinator/http",
                                "coordinator/http/llm/catalogue", "coordinator/http/llm/dialects",
                                "coordinator/http/llm/task"}, {}}},
    {"coordinator/http/site", {{"common/core", "common/http_server", "common/protocol", "common/system",
                                "coordinator/access", "coordinator/http",
                                "coordinator/http/llm/dialects"}, {}}},
    {"coordinator",       {{"common/core", "common/files", "common/http_server", "common/logins", "common/mqtt", "common/pki", "common/runtime",
                            "common/system", "coordinator/access", "coordinator/core", "coordinator/events", "coordinator/http", "coordinator/http/agents", "coordinator/http/api", "coordinator/http/llm", "coordinator/http/site",
                            "coordinator/shell", "coordinator/store/artifacts", "coordinator/store/backup",
                            "coordinator/store/data", "coordinator/store/sqlite"}, {}}},

    {"edge-agent/core",    {{"common/core"}, {}}},
    {"edge-agent/sensors", {{"common/core", "common/system"}, {}}},
    {"edge-agent/executors",         {{"common/core", "common/runtime"}, {}}},
    {"edge-agent/executors/process", {{"common/core", "common/files", "common/runtime", "common/system",
                                       "edge-agent/executors"}, {}}},
    {"edge-agent/executors/files",   {{"common/core", "common/protocol", "edge-agent/executors",
                                       "edge-agent/executors/process"}, {}}},
    {"edge-agent/executors/command", {{"common/core", "common/protocol", "common/system", "edge-agent/executors",
                                       "edge-agent/executors/files", "edge-agent/executors/process"}, {}}},
    {"edge-agent/executors/plugin",  {{"common/core", "common/files", "common/protocol", "common/system", "edge-agent/executors",
                                       "edge-agent/executors/files", "edge-agent/executors/process"}, {}}},
    {"edge-agent/executors/llm",     {{"common/core", "common/http", "common/protocol", "common/runtime",
                                       "common/system", "edge-agent/executors"}, {"nlohmann"}}},
    {"edge-agent/identity", {{"common/core", "common/files", "common/http", "common/join", "common/mqtt", "common/pki",
                              "common/runtime", "common/system"}, {}}},
    {"edge-agent/shell", {{"common/core", "common/files", "common/http", "common/mqtt", "common/protocol",
                           "common/runtime", "common/system", "edge-agent/core", "edge-agent/executors", "edge-agent/identity",
                           "edge-agent/executors/command", "edge-agent/executors/llm", "edge-agent/executors/plugin",
                           "edge-agent/executors/process", "edge-agent/sensors"}, {"toml++"}}},
    {"edge-agent",       {{"common/core", "common/files", "common/join", "common/runtime", "edge-agent/identity", "edge-agent/executors", "edge-agent/executors/command",
                           "edge-agent/executors/files", "edge-agent/executors/llm", "edge-agent/executors/plugin",
                           "edge-agent/executors/process", "edge-agent/sensors", "edge-agent/shell"}, {}}},
    {"edge-agent/plugins/image", {{"common/core"}, {"CLI", "nlohmann", "vips"}}},

    {"cli/core",     {{"common/core", "common/protocol"}, {"nlohmann"}}},
    {"cli/commands", {{"cli/core", "common/core", "common/files", "common/http", "common/logins", "common/pki", "common/protocol", "common/system"},
                      {"CLI", "nlohmann"}}},
    {"cli",          {{"cli/commands", "cli/core", "common/core", "common/http", "common/logins"}, {"CLI"}}},
};

// What no core may include or call: it has no threads, no files, no clock and no source of randomness.
const Names not_in_a_core{"thread", "mutex", "shared_mutex", "condition_variable", "future", "semaphore", "stop_token",
                          "fstream", "iostream", "filesystem", "unistd.h", "fcntl.h"};
const std::regex impure_call{"_clock::now|\\b(random_device|monotonic_now|wall_now|getenv)\\b|\\bstd::time\\("};
// clang-format on

// Headers of the system; all other folders in <...> are libraries.
const std::set<std::string> system_folders{"sys", "ext", "net", "netinet", "linux", "arpa"};

struct Include {
  bool ours = false;  // in quotes
  std::string folder;  // empty: none
  std::string whole;
};

std::vector<Include> includes_of(const std::string& text) {
  static const std::regex line("^[ \t]*#[ \t]*include[ \t]*([\"<])([^\">]+)[\">]");
  std::vector<Include> all;
  std::istringstream lines(text);
  for (std::string one; std::getline(lines, one);) {
    std::smatch found;
    if (!std::regex_search(one, found, line)) continue;
    const bool ours = found[1] == "\"";
    const std::string path = found[2];
    const auto slash = ours ? path.rfind('/') : path.find('/');
    all.push_back({ours, slash == std::string::npos ? "" : path.substr(0, slash), path});
  }
  return all;
}

bool has(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_core(const std::string& room) { return fs::path(room).filename() == "core"; }

// What is wrong with a source of this room; empty: nothing.
std::vector<std::string> problems_in(const std::string& room, const std::string& text) {
  const auto row = rooms.find(room);
  if (row == rooms.end()) return {"this folder has no row in tests/unit/architecture/includes_test.cpp"};
  std::vector<std::string> problems;
  for (const Include& include : includes_of(text)) {
    const bool system = !include.ours && (include.folder.empty() || system_folders.contains(include.folder));
    const bool allowed = include.ours ? include.folder == room || has(row->second.rooms, include.folder)
                                      : (system && !(is_core(room) && include.folder == "sys")) ||
                                            has(row->second.libraries, include.folder);
    if (!allowed || (is_core(room) && system && has(not_in_a_core, include.whole))) {
      problems.push_back("includes " + include.whole);
    }
  }
  std::smatch call;
  if (is_core(room) && std::regex_search(text, call, impure_call)) problems.push_back("uses " + call[0].str());
  return problems;
}

struct Source {
  std::string room;
  fs::path path;
  std::string text;
};

const std::vector<Source>& sources() {
  static const std::vector<Source> all = [] {
    std::vector<Source> found;
    const fs::path root = EDGEFLEET_SOURCE_DIR;
    for (const char* part : {"common", "coordinator", "edge-agent", "cli"}) {
      for (const auto& entry : fs::recursive_directory_iterator(root / part)) {
        if (entry.path().extension() != ".cpp" && entry.path().extension() != ".hpp") continue;
        std::ifstream file(entry.path());
        found.push_back({fs::relative(entry.path().parent_path(), root).generic_string(),
                         entry.path(),
                         {std::istreambuf_iterator<char>(file), {}}});
      }
    }
    return found;
  }();
  return all;
}

// The rooms that each room really includes.
std::map<std::string, std::set<std::string>> arrows() {
  std::map<std::string, std::set<std::string>> all;
  for (const Source& source : sources()) {
    for (const Include& include : includes_of(source.text)) {
      if (include.ours && include.folder != source.room) all[source.room].insert(include.folder);
    }
  }
  return all;
}

std::set<std::string> reachable(const std::map<std::string, std::set<std::string>>& from, const std::string& start) {
  std::set<std::string> seen;
  std::vector<std::string> next{start};
  while (!next.empty()) {
    const std::string room = next.back();
    next.pop_back();
    const auto found = from.find(room);
    if (found == from.end()) continue;
    for (const std::string& other : found->second) {
      if (seen.insert(other).second) next.push_back(other);
    }
  }
  return seen;
}

}  // namespace

TEST_CASE("every folder of sources is a room, and includes only what its row allows") {
  for (const Source& source : sources()) {
    INFO(source.path.string());
    CHECK(problems_in(source.room, source.text) == Names{});
  }
  CHECK(sources().size() > 200);
}

TEST_CASE("every row is of a folder that exists, and names only rooms that exist") {
  std::set<std::string> folders;
  for (const Source& source : sources()) folders.insert(source.room);
  for (const auto& [name, room] : rooms) {
    INFO(name);
    CHECK(folders.contains(name));
    for (const std::string& other : room.rooms) {
      INFO(other);
      CHECK(rooms.contains(other));
    }
  }
}

TEST_CASE("no room includes itself by way of others") {
  const auto all = arrows();
  for (const auto& [room, next] : all) {
    INFO(room);
    CHECK_FALSE(reachable(all, room).contains(room));
  }
}

TEST_CASE("what the rules forbid is found") {
  using Case = std::pair<std::string, std::string>;
  const std::vector<Case> wrong{
      {"coordinator/core", "#include <thread>\n"},
      {"coordinator/core", "#include <mutex>\n"},
      {"edge-agent/core", "#include <condition_variable>\n"},
      {"cli/core", "#include <fstream>\n"},
      {"cli/core", "#include <iostream>\n"},
      {"common/core", "  #  include <filesystem>\n"},
      {"common/core", "#include <sys/stat.h>\n"},
      {"common/core", "#include \"common/system/clock.hpp\"\n"},
      {"common/core", "const auto now = std::chrono::system_clock::now();\n"},
      {"edge-agent/core", "std::random_device device;\n"},
      {"coordinator/core", "step(state, event, monotonic_now());\n"},
      {"common/protocol", "#include \"coordinator/core/step.hpp\"\n"},
      {"edge-agent/executors/process", "#include \"edge-agent/executors/files/scratch.hpp\"\n"},
      {"edge-agent/executors/plugin", "#include \"edge-agent/executors/command/executor.hpp\"\n"},
      {"edge-agent/shell", "#include <mqtt/async_client.h>\n"},
      {"edge-agent/new", "int main() {}\n"},
  };
  for (const auto& [room, text] : wrong) {
    INFO(room << ": " << text);
    CHECK(problems_in(room, text).size() == 1);
  }
  CHECK(problems_in("edge-agent/core", "#include <vector>\n#include \"common/core/time.hpp\"\n").empty());
  CHECK(problems_in("edge-agent/shell", "#include <thread>\nauto t = monotonic_now();\n").empty());
}

TEST_CASE("only the adapter includes Paho") {
  for (const Source& source : sources()) {
    if (source.path.filename() == "paho_client.cpp") continue;
    INFO(source.path.string());
    CHECK(source.text.find("#include <mqtt/") == std::string::npos);
  }
}
