// `[[plugin]]` of an agent's configuration. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/core/backoff.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "edge-agent/executors/files/scratch.hpp"
#include "edge-agent/executors/process/environment.hpp"

namespace edgefleet::agent {

// As written in the file.
struct PluginSettings {
  std::string name;
  std::vector<std::string> argv;
  Environment env;
  std::string cwd;  // empty: the agent's, so that paths in argv are relative to the agent's
  std::int64_t restart_first_s = 1;  // the pause before a restart, doubling
  std::int64_t restart_most_s = 60;
  std::int64_t artifact_bytes = 256 * 1024 * 1024;  // of all files in one result, and in one input
  std::int64_t artifact_files = 64;
  bool sandbox = true;
};

struct PluginConfig {
  static Result<PluginConfig> check(const PluginSettings& settings);

  std::string name;
  ExecutorName executor;  // plugin-<name>
  std::vector<std::string> argv;
  Environment env;
  std::string cwd;
  Backoff restart;
  FileLimits file_limits;
  bool sandbox = true;
  friend bool operator==(const PluginConfig&, const PluginConfig&) = default;
};

// Time limits for the duties of a plug-in. Tests shorten them.
struct PluginTimes {
  Duration hello = std::chrono::seconds(10);
  Duration cancel = std::chrono::seconds(5);     // to answer a cancel
  Duration close = std::chrono::seconds(3);      // to end after its stdin was closed, before SIGTERM
  Duration terminate = std::chrono::seconds(3);  // between SIGTERM and SIGKILL
  Duration broken = std::chrono::seconds(1);     // to end after it closed one of its pipes
  Duration well = std::chrono::minutes(1);       // after this uptime the backoff starts again
};

}  // namespace edgefleet::agent
