#include "edge-agent/shell/settings.hpp"

#include <array>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;

namespace {

struct Outcome {
  Settings settings;
  std::optional<int> code;  // none: the agent would start
  std::string said;
};

// The result of starting an agent with this file.
Outcome read(const std::string& file) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/agent.toml";
  std::ofstream(path) << file;
  const std::array<const char*, 3> arguments{program, "--config", path.c_str()};
  std::ostringstream said;
  auto* const before = std::cerr.rdbuf(said.rdbuf());
  Outcome outcome;
  outcome.code = read_settings(outcome.settings, arguments.size(), arguments.data());
  std::cerr.rdbuf(before);
  outcome.said = said.str();
  return outcome;
}

Settings named() {
  Settings settings;
  settings.name = "pi-1";
  return settings;
}

std::string problem_of(const Settings& settings) {
  const auto options = loop_options(settings);
  return options ? "" : options.error().message;
}

}  // namespace

TEST_CASE("with an empty file the defaults apply, and the name is the host's") {
  const auto outcome = read("");
  REQUIRE_FALSE(outcome.code);
  CHECK_FALSE(outcome.settings.name.empty());
  CHECK(outcome.settings.fleet == "home");
  CHECK(outcome.settings.commands.empty());
}

TEST_CASE("a command is read with its parameters, limits and environment") {
  const auto outcome = read(R"(
[[command]]
name = "resize"
argv = ["/bin/convert", "{size}"]
slots = 2
timeout_s = 30
env = { LANG = "C" }
retry_exit_codes = [75]
[command.params]
size = { type = "integer", min = 1, max = 100, default = 10 }
[[command]]
name = "reboot"
argv = ["/usr/bin/sudo", "/sbin/reboot"]
sandbox = false
)");
  INFO(outcome.said);
  REQUIRE_FALSE(outcome.code);
  REQUIRE(outcome.settings.commands.size() == 2);
  CHECK(outcome.settings.commands[0].executor.str() == "command-resize");
  CHECK(outcome.settings.commands[0].sandbox);
  CHECK_FALSE(outcome.settings.commands[1].sandbox);
}

TEST_CASE("plug-ins, LLM back ends and labels are read") {
  const auto outcome = read(R"(
[labels]
room = "kitchen"
[[plugin]]
name = "image"
argv = ["/usr/bin/edgefleet-plugin-image"]
sandbox = false
[[llm]]
provider = "ollama"
)");
  INFO(outcome.said);
  REQUIRE_FALSE(outcome.code);
  CHECK_FALSE(outcome.settings.plugins.at(0).sandbox);
  CHECK(outcome.settings.labels == std::map<std::string, std::string>{{"room", "kitchen"}});
  CHECK(outcome.settings.plugins.size() == 1);
  REQUIRE(outcome.settings.llms.size() == 1);
  CHECK(outcome.settings.llms[0].keeper.has_value());
}

TEST_CASE("an error in the file ends the agent, with its line and its reason") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"\n[[command]]\nargv = ['ls']\n", "line 2: [[command]]: `name` is missing"},
      {"[[command]]\nname = 'x'\nargv = ['ls']\nslots = 'two'\n",
       "line 4: [[command]]: `slots` must be a whole number"},
      {"[[command]]\nname = 'x'\nargv = ['ls']\nslot = 1\n",
       "line 4: [[command]]: unknown key `slot`; did you mean `slots`?"},
      {"[[command]]\nname = 'x'\nargv = ['ls']\nparams = 1\n", "line 4: [[command]]: `params` must be a table"},
      {"[[command]]\nname = 'x'\nargv = ['ls']\n[command.params]\np = 1\n",
       "line 5: command 'x', params: `p` must be a table"},
      {"[[command]]\nname = 'x'\nargv = ['ls', '{p}']\n[command.params.p]\nchoices = []\n",
       "line 5: command 'x', param 'p': `choices` is empty"},
      {"[command]\nname = 'x'\n", "line 1: `command` must be a list of tables: write [[command]]"},
      {"[[command]]\nname = 'x'\nargv = ['ls']\n[[command]]\nname = 'x'\nargv = ['ls']\n",
       "line 4: another [[command]] has the same name"},
      {"[labels]\nroom = 3\n", "line 2: [labels]: `room` must be a string"},
      {"[labels]\nmodel = 'x'\n", "line 2: [labels]: a label must have another name"},
      {"[labels]\ncpus = '4'\n", "line 2: [labels]: a label must have another name"},
      {"[labels]\n'my room' = 'x'\n", "line 2: [labels]: the name of a label has letters"},
      {"[labels]\nroom = '>3'\n", "line 2: [labels]: a label must not begin with an operator"},
      {"labels = 1\n", "line 1: `labels` must be a table: write [labels]"},
      {"[[llm]]\nurl = 'http://127.0.0.1'\n", "line 1: [[llm]]: `provider` is missing"},
      {"echo = '2'\n", "line 1: `echo` must be a whole number"},
      {"ecko = 2\n", "line 1: unknown key `ecko`; did you mean `echo`?"},
      {"max-task-mb = -1\n", "line 1: `max-task-mb`: --max-task-mb: Value -1 not in range 0 to 64"},
  };
  for (const auto& [file, reason] : cases) {
    INFO(file);
    const auto outcome = read(file);
    CHECK(outcome.code == 2);
    INFO(outcome.said);
    CHECK(outcome.said.find("agent.toml, " + reason) != std::string::npos);
  }
}

TEST_CASE("labels are bounded in number and in length") {
  std::string many = "[labels]\n";
  for (std::size_t i = 0; i < limits::labels + 1; ++i) many += "l" + std::to_string(i) + " = 'x'\n";
  CHECK(read(many).said.find("at most " + std::to_string(limits::labels)) != std::string::npos);
  const std::string longest(limits::label_bytes, 'x');
  CHECK_FALSE(read("[labels]\nroom = '" + longest + "'\n").code);
  CHECK(read("[labels]\nroom = '" + longest + "x'\n").code == 2);
  CHECK(read("[labels]\n" + longest + "x = 'x'\n").code == 2);
}

TEST_CASE("names, addresses and files are checked before the agent starts") {
  CHECK(problem_of(named()).empty());
  auto settings = named();
  settings.name = "Pi 1";
  CHECK(problem_of(settings).find("--name \"Pi 1\"") != std::string::npos);
  settings = named();
  settings.fleet = "";
  CHECK(problem_of(settings).find("--fleet") != std::string::npos);
  settings = named();
  settings.broker = "broker";
  CHECK(problem_of(settings).find("mqtt://HOST:PORT") != std::string::npos);
  settings = named();
  settings.coordinator = "ftp://x";
  CHECK(problem_of(settings).find("--coordinator \"ftp://x\"") != std::string::npos);
  settings = named();
  settings.password_file = "/nonexistent/password";
  CHECK(problem_of(settings).find("/nonexistent/password") != std::string::npos);
}

TEST_CASE("a heat limit that is not set keeps its distance to one that is") {
  const auto defaults = loop_options(named());
  REQUIRE(defaults);
  auto settings = named();
  settings.reduce_celsius = 60;
  const auto moved = loop_options(settings);
  REQUIRE(moved);
  CHECK(moved->heat.reduce == 60);
  CHECK(moved->heat.normal == Approx(60 - (defaults->heat.reduce - defaults->heat.normal)));
  CHECK(moved->heat.pause >= 60 + (defaults->heat.pause - defaults->heat.reduce));
  settings = named();
  settings.pause_celsius = 50;
  const auto lower = loop_options(settings);
  REQUIRE(lower);
  CHECK(lower->heat.pause == 50);
  CHECK(lower->heat.reduce < 50);
  settings.normal_celsius = 55;
  CHECK(problem_of(settings).find("must grow from --normal-celsius") != std::string::npos);
}

TEST_CASE("with --heat firmware the agent only observes") {
  auto settings = named();
  CHECK_FALSE(loop_options(settings)->heat.observe_only);
  settings.heat = "firmware";
  CHECK(loop_options(settings)->heat.observe_only);
}
