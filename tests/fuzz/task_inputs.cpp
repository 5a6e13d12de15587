// The input of a task on an agent: as the parameters of a command, and as the input for a plug-in.
#include <nlohmann/json.hpp>

#include "common/protocol/json.hpp"
#include "edge-agent/executors/command/config.hpp"
#include "edge-agent/executors/files/artifacts.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::fuzz;

namespace {

const std::string in_dir = "/scratch/in";

CommandConfig command() {
  CommandSettings settings;
  settings.name = "all";
  settings.argv = {"program", "{word}", "--plain={plain}", "{whole}", "{real}", "{flag}", "{choice}", "{file}"};
  settings.params["word"].pattern = "([a-z]+)*[0-9]?";
  settings.params["plain"].max_length = 16;
  settings.params["plain"].default_value = "p";
  settings.params["whole"].type = "integer";
  settings.params["whole"].max = 9;
  settings.params["real"].type = "number";
  settings.params["real"].min = -1.5;
  settings.params["flag"].type = "boolean";
  settings.params["flag"].default_value = false;
  settings.params["choice"].choices = {std::string("a"), std::string("b")};
  settings.params["choice"].default_value = "a";
  settings.params["file"].type = "artifact";
  settings.params["text"].to_stdin = true;
  settings.params["text"].default_value = "";
  auto checked = CommandConfig::check(settings);
  require(checked.ok(), "the command has a valid configuration");
  return std::move(checked).value();
}

void check_command(std::string_view input) {
  static const CommandConfig config = command();
  const auto bound = config.bind(input, in_dir);
  if (!bound) return require(!bound.error().message.empty(), "the error of an input is reported");
  const auto& argv = bound->argv;
  require(argv.size() == 8 && argv[0] == "program", "no value adds or removes an argument");
  for (const auto& argument : argv) {
    require(argument.find('\0') == std::string::npos, "an argument has no NUL");
  }
  require(argv[1].empty() || argv[1].front() != '-', "no word looks like an option");
  require(argv[2].size() <= 8 + 16, "a text is within its length");
  require(argv[3].size() == 1 && argv[3] >= "0" && argv[3] <= "9", "a number is within its range");
  require(argv[5] == "true" || argv[5] == "false", "a flag is true or false");
  require(argv[6] == "a" || argv[6] == "b", "a choice is one of those allowed");
  require(bound->artifacts.size() == 1 && argv[7] == in_dir + '/' + *bound->artifacts.begin(), "a file is provided");
  require(valid_artifact_id(*bound->artifacts.begin()), "only an artifact id becomes part of a path");
}

// `file` is present exactly where an artifact is named.
void check_files(const nlohmann::json& tree, const std::set<std::string>& artifacts) {
  if (tree.is_object()) {
    const auto artifact = tree.find("artifact");
    const bool named = artifact != tree.end() && artifact->is_string();
    require(named == tree.contains("file"), "a file is next to an artifact");
    if (named) {
      require(artifacts.count(artifact->get<std::string>()) == 1, "a named artifact is provided");
      require(tree["file"] == in_dir + '/' + artifact->get<std::string>(), "a file is one that the agent provides");
    }
  }
  if (!tree.is_structured()) return;
  for (const auto& part : tree) check_files(part, artifacts);
}

void check_plugin(std::string_view input) {
  if (!json::well_formed(input)) return;
  const auto laid = lay_input(input, in_dir);
  if (!laid) return require(!laid.error().message.empty(), "the error of an input is reported");
  require(json::well_formed(laid->input), "an input is still JSON after its files were added");
  for (const auto& artifact : laid->artifacts) {
    require(valid_artifact_id(artifact), "only an artifact id becomes part of a path");
  }
  const auto tree = nlohmann::json::parse(laid->input, nullptr, false);
  if (!tree.is_discarded()) check_files(tree, laid->artifacts);  // otherwise it has a number that no double holds
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = text_of(data, size);
  check_command(input);
  check_plugin(input);
  return 0;
}
