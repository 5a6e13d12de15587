#include "edge-agent/shell/settings_change.hpp"

#include <array>
#include <fstream>
#include <iostream>
#include <regex>
#include <set>
#include <sstream>

#include "common/core/joined.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;

namespace {

Result<Settings> read(const std::string& file) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/agent.toml";
  std::ofstream(path) << file;
  const std::array<const char*, 3> arguments{program, "--config", path.c_str()};
  return read_settings_again(arguments.size(), arguments.data());
}

Settings settings(const std::string& file) {
  auto found = read(file);
  INFO(file << (found ? "" : found.error().message));
  REQUIRE(found);
  return std::move(*found);
}

std::string changes(const std::string& before, const std::string& after) {
  return changes_text(difference(settings(before), settings(after)));
}

std::string restart(const std::string& before, const std::string& after) {
  return joined(difference(settings(before), settings(after)).restart);
}

std::string command(const std::string& name, const std::string& rest = "") {
  return "[[command]]\nname = '" + name + "'\nargv = ['/bin/echo', '{p}']\n" + rest +
         "[command.params]\np = { type = 'string', pattern = 'a+', default = 'aa' }\n";
}

// Every option of the program but --config, as its help lists them.
std::set<std::string> options_in_help() {
  const std::array<const char*, 2> arguments{program, "--help"};
  Settings unused;
  std::ostringstream said;
  auto* const before = std::cout.rdbuf(said.rdbuf());
  read_settings(unused, arguments.size(), arguments.data());
  std::cout.rdbuf(before);
  const std::string text = said.str();
  const std::regex option("\n  (?:-., ?)?--([a-z-]+) ");
  std::set<std::string> names;
  for (auto at = std::sregex_iterator(text.begin(), text.end(), option); at != std::sregex_iterator(); ++at) {
    names.insert((*at)[1]);
  }
  for (const char* other : {"config", "help", "version"}) names.erase(other);
  return names;
}

}  // namespace

TEST_CASE("a file without a change changes nothing, however it is written") {
  const std::string file = command("a") + "[[plugin]]\nname = 'p'\nargv = ['x']\n[[llm]]\nprovider = 'ollama'\n";
  CHECK(changes(file, file).empty());
  CHECK(changes(command("a"), "# a remark\n" + command("a", "slots = 1\ntimeout_s = 600\n")).empty());
  CHECK(changes(command("a") + command("b"), command("b") + command("a")).empty());
}

TEST_CASE("executors that are added, changed or removed are named") {
  CHECK(changes("", command("a")) == "added command-a");
  CHECK(changes(command("a"), "") == "removed command-a");
  CHECK(changes(command("a") + command("b"), command("c") + command("b", "slots = 2\n")) ==
        "added command-c; changed command-b; removed command-a");
  CHECK(changes("", "echo = 3\n") == "added echo");
  CHECK(changes("echo = 2\n", "echo = 3\n") == "changed echo");
  CHECK(changes("echo = 2\n", "echo = 0\n") == "removed echo");
  CHECK(changes("[[plugin]]\nname = 'p'\nargv = ['x']\n", "[[plugin]]\nname = 'p'\nargv = ['x', 'y']\n") ==
        "changed plugin-p");
}

TEST_CASE("every key of a command, a plug-in and a back end counts as a change") {
  const std::string plugin = "[[plugin]]\nname = 'p'\nargv = ['x']\n";
  const std::string llm = "[[llm]]\nname = 'm'\nprovider = 'ollama'\n";
  const std::vector<std::pair<std::string, std::string>> cases{
      {command("a"), command("a", "timeout_s = 7\n")},
      {command("a"), command("a", "env = { X = '1' }\n")},
      {command("a"), command("a", "output_bytes = 1000\n")},
      {command("a"), command("a", "artifact_bytes = 1000\n")},
      {command("a"), command("a", "artifact_files = 3\n")},
      {command("a"), command("a", "retry_exit_codes = [3]\n")},
      {command("a"), std::regex_replace(command("a"), std::regex("a\\+"), "a*")},
      {command("a"), std::regex_replace(command("a"), std::regex("'aa'"), "'a'")},
      {command("a"), std::regex_replace(command("a"), std::regex("echo"), "true")},
      {command("a"), std::regex_replace(command("a"), std::regex("\\{p\\}"), "x{p}")},
      {plugin, plugin + "env = { X = '1' }\n"},
      {plugin, plugin + "cwd = '/'\n"},
      {plugin, plugin + "restart_first_s = 3\n"},
      {plugin, plugin + "restart_most_s = 99\n"},
      {plugin, plugin + "artifact_bytes = 1000\n"},
      {plugin, plugin + "artifact_files = 3\n"},
      {llm, llm + "url = 'http://127.0.0.1:1'\n"},
      {llm, llm + "models = ['x']\n"},
      {llm, llm + "slots = 2\n"},
      {llm, llm + "api_key_file = '/x'\n"},
      {llm, llm + "api_key_env = 'X'\n"},
      {llm, llm + "connect_timeout_s = 11\n"},
      {llm, llm + "first_token_timeout_s = 11\n"},
      {llm, llm + "token_timeout_s = 11\n"},
      {llm, llm + "refresh_s = 11\n"},
      {llm, llm + "num_ctx = 1024\n"},
      {llm, llm + "num_thread = 2\n"},
      {llm, llm + "keep_alive = '5m'\n"},
      {llm, llm + "models_dir = '/x'\n"},
      {llm, llm + "pull = ['x']\n"},
      {llm, llm + "pull_hosts = ['x']\n"},
      {llm, llm + "requests_per_minute = 2\n"},
      {llm, llm + "requests_per_day = 2\n"},
      {llm, llm + "tokens_per_day = 2\n"},
      {llm, llm + "price_prompt = 2\n"},
      {llm, llm + "price_completion = 2\n"},
  };
  for (const auto& [before, after] : cases) {
    INFO(after);
    const auto found = difference(settings(before), settings(after));
    CHECK(found.added.empty());
    CHECK(found.removed.empty());
    CHECK(found.changed.size() == (before == llm ? 2 : 1));
  }
}

TEST_CASE("an Ollama's two executors change together, and another provider of the name has one") {
  const std::string ollama = "[[llm]]\nname = 'm'\nprovider = 'ollama'\n";
  const std::string openai = "[[llm]]\nname = 'm'\nprovider = 'openai'\nurl = 'http://127.0.0.1:1'\n";
  CHECK(changes(ollama, openai) == "changed llm-m; removed llm-m-models");
  CHECK(changes(openai, ollama) == "added llm-m-models; changed llm-m");
}

TEST_CASE("each option of the program takes effect, or is named as one that needs a restart") {
  const std::map<std::string, std::string> other_values{{"name", "'x'"},
                                                        {"broker", "'mqtt://127.0.0.1:7'"},
                                                        {"username", "'x'"},
                                                        {"fleet", "'x'"},
                                                        {"coordinator", "'http://x:7'"},
                                                        {"password-file", "'x'"},
                                                        {"work", "'x'"},
                                                        {"join-file", "'x'"},
                                                        {"echo", "3"},
                                                        {"max-held", "7"},
                                                        {"broker-ca", "'x'"},
                                                        {"broker-certificate", "'x'"},
                                                        {"broker-key", "'x'"},
                                                        {"max-task-mb", "7"},
                                                        {"stop-grace-s", "7"},
                                                        {"heat", "'firmware'"},
                                                        {"normal-celsius", "60.5"},
                                                        {"sys", "'x'"},
                                                        {"reduce-celsius", "61.5"},
                                                        {"pause-celsius", "99.5"},
                                                        {"log-level", "'debug'"}};
  const std::set<std::string> at_start{"name",          "broker",   "username", "fleet",     "coordinator",
                                       "password-file", "work",     "sys",      "broker-ca", "broker-certificate",
                                       "broker-key",    "join-file"};
  std::set<std::string> known;
  for (const auto& [name, value] : other_values) {
    known.insert(name);
    INFO(name);
    const std::string file = name + " = " + value + "\n";
    CHECK(restart("", file) == (at_start.contains(name) ? name : ""));
    CHECK(changes("", file) == (at_start.contains(name) ? "" : name == "echo" ? "added echo" : "new " + name));
  }
  CHECK(known == options_in_help());
  CHECK(changes("[labels]\nroom = 'a'\n", "[labels]\nroom = 'b'\n") == "new labels");
}

TEST_CASE("settings that need a restart keep their values, the others get the new ones") {
  const auto running = settings("fleet = 'a'\nmax-held = 3\n");
  auto after = settings("fleet = 'b'\nwork = 'x'\nmax-held = 4\n");
  keep_until_restart(running, after);
  CHECK(after.fleet == "a");
  CHECK(after.work == running.work);
  CHECK(after.max_held == 4);
  CHECK(difference(running, after).restart.empty());
  CHECK(joined(difference(after, settings("fleet = 'b'\n")).restart) == "fleet");  // named again as long as it differs
}

TEST_CASE("a bad file that is read again is an error with its line, and nothing is printed") {
  std::ostringstream said;
  auto* const before = std::cerr.rdbuf(said.rdbuf());
  const std::vector<std::pair<std::string, std::string>> cases{
      {"echo = [\n", "agent.toml, line "},
      {"\necko = 1\n", "agent.toml, line 2: unknown key `ecko`"},
      {"echo = -1\n", "agent.toml, line 1: `echo`"},
      {"[[command]]\nname = 'x'\n", "agent.toml, line 1: "},
  };
  for (const auto& [file, reason] : cases) {
    const auto found = read(file);
    INFO(file);
    REQUIRE_FALSE(found);
    CHECK(found.error().message.find(reason) != std::string::npos);
  }
  std::cerr.rdbuf(before);
  CHECK(said.str().empty());
}

TEST_CASE("a file that has gone, or is a pipe, is an error and not an empty configuration") {
  const test::TemporaryFolder folder;
  const std::string gone = folder.path() + "/gone.toml";
  for (const std::string& path : {gone, std::string("/dev/null"), folder.path()}) {
    const std::array<const char*, 3> arguments{program, "--config", path.c_str()};
    INFO(path);
    CHECK_FALSE(read_settings_again(arguments.size(), arguments.data()));
  }
}

TEST_CASE("flags take precedence over the file when it is read again too") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/agent.toml";
  std::ofstream(path) << "echo = 5\nmax-held = 9\n";
  const std::array<const char*, 5> arguments{program, "--config", path.c_str(), "--echo", "2"};
  const auto found = read_settings_again(arguments.size(), arguments.data());
  REQUIRE(found);
  CHECK(found->echo == 2);
  CHECK(found->max_held == 9);
}
