#include "edge-agent/shell/hidden_files.hpp"

#include <stdlib.h>

#include <algorithm>
#include <array>
#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;

namespace {

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

TEST_CASE("the work folder, the configuration and every file with a secret that it names are hidden") {
  const test::TemporaryFolder folder;
  const std::string config = folder / "agent.toml";
  const std::string join_file = folder / "token";
  std::ofstream(join_file) << "token";
  std::ofstream(config)
      << "work = \"/var/lib/agent\"\npassword-file = \"/p\"\nbroker-key = \"/k\"\njoin-file = \"" + join_file +
             "\"\n[[llm]]\nname = \"a\"\nprovider = \"groq\"\nmodels = [\"m\"]\napi_key_file = \"/a\"\n"
             "[[llm]]\nname = \"b\"\nprovider = \"openai\"\nurl = \"http://127.0.0.1:1\"\n";
  const std::array<const char*, 3> arguments{program, "--config", config.c_str()};
  Settings settings;
  REQUIRE_FALSE(read_settings(settings, arguments.size(), arguments.data()));
  CHECK(sorted(hidden_files(settings)) == sorted({"/var/lib/agent", config, "/p", "/k", "/a", join_file}));
  ::setenv("CREDENTIALS_DIRECTORY", "/run/credentials/agent", 1);
  const auto with_credentials = hidden_files(settings);
  ::unsetenv("CREDENTIALS_DIRECTORY");
  CHECK(std::count(with_credentials.begin(), with_credentials.end(), "/run/credentials/agent") == 1);
}

TEST_CASE("without a configuration the work folder alone is hidden") {
  Settings settings;
  settings.join_file = "/not/there";
  CHECK(hidden_files(settings) == std::vector<std::string>{"edgefleet-work"});
}

}  // namespace
