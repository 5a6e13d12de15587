#include "edge-agent/executors/plugin/config.hpp"

#include <algorithm>

namespace edgefleet::agent {
namespace {

bool holds_nul(const std::string& text) { return text.find('\0') != std::string::npos; }

Status check_numbers(const PluginSettings& settings) {
  constexpr std::int64_t day = 24 * 3600;
  if (settings.restart_first_s < 1 || settings.restart_most_s < settings.restart_first_s ||
      settings.restart_most_s > day) {
    return invalid("restart_first_s and restart_most_s must be from 1 to 86400, the first not above the most");
  }
  if (settings.artifact_bytes < 0) return invalid("artifact_bytes must not be negative");
  if (settings.artifact_files < 0 || settings.artifact_files > 256) {
    return invalid("artifact_files must be from 0 to 256");
  }
  return success();
}

}  // namespace

Result<PluginConfig> PluginConfig::check(const PluginSettings& settings) {
  const std::string where = "plugin '" + settings.name + "'";
  const auto executor = ExecutorName::parse("plugin-" + settings.name);
  if (!executor || !valid_name(settings.name)) {
    return invalid(where + ": the name must be of a-z, 0-9 and '-', and at most 56 characters long");
  }
  if (settings.argv.empty() || settings.argv.front().empty()) return invalid(where + ": argv names no program");
  if (std::any_of(settings.argv.begin(), settings.argv.end(), holds_nul) || holds_nul(settings.cwd)) {
    return invalid(where + ": argv or cwd contains a NUL");
  }
  if (auto env = check_environment(settings.env); !env) return env.error().context(where);
  if (auto numbers = check_numbers(settings); !numbers) return numbers.error().context(where);
  PluginConfig config;
  config.name = settings.name;
  config.executor = *executor;
  config.argv = settings.argv;
  config.env = settings.env;
  config.cwd = settings.cwd;
  config.sandbox = settings.sandbox;
  config.restart = {std::chrono::seconds(settings.restart_first_s), std::chrono::seconds(settings.restart_most_s)};
  config.file_limits = {static_cast<std::uint64_t>(settings.artifact_bytes),
                        static_cast<std::size_t>(settings.artifact_files)};
  return config;
}

}  // namespace edgefleet::agent
