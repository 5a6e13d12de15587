// The settings of an agent: flags, environment and agent.toml.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "common/core/result.hpp"
#include "common/runtime/configuration.hpp"
#include "edge-agent/executors/command/config.hpp"
#include "edge-agent/executors/llm/config.hpp"
#include "edge-agent/executors/plugin/config.hpp"
#include "edge-agent/identity/identity.hpp"
#include "edge-agent/shell/loop.hpp"

namespace edgefleet::agent {

inline constexpr const char* program = "edgefleet-agent";

struct Settings {
  std::string name;
  bool name_is_default = false;  // it was not given: it is that of the host
  std::string fleet = "home";
  std::string broker = "mqtt://127.0.0.1:1883";
  std::string username;
  std::string password_file;
  std::string broker_ca;
  std::string broker_certificate;
  std::string broker_key;
  std::string coordinator = "http://127.0.0.1:7001";
  std::string work = "edgefleet-work";
  std::string join_file;  // with a join token, for the first start; empty: the usual places on the boot partition
  std::string file;  // that was read; empty: none
  std::string sys = "/sys";
  std::string heat = "policy";
  std::string log_level = "info";
  int echo = 0;
  int max_task_mb = -1;  // -1: by the memory
  int max_held = Policy{}.max_tasks;
  int stop_grace_s = 20;
  double normal_celsius = 0;  // 0: by board
  double reduce_celsius = 0;
  double pause_celsius = 0;
  std::map<std::string, std::string> labels;
  std::vector<CommandConfig> commands;
  std::vector<PluginConfig> plugins;
  std::vector<llm::Config> llms;
  std::set<std::string> given;  // of the options that an identity has too: those that were given a value
};

// None: continue. Otherwise the program ends with this exit code; all messages have been printed.
// `more` declares commands.
using Declare = std::function<void(Configuration& configuration)>;
std::optional<int> read_settings(Settings& settings, int argc, const char* const* argv, const Declare& more = {});
// The same while the agent works: the error is returned, and nothing is printed.
Result<Settings> read_settings_again(int argc, const char* const* argv);

// What the fleet that this agent has joined says, where the owner has said nothing else. Error: the owner has given
// another name or fleet, or a broker without TLS.
Status take_identity(Settings& settings, const Identity& identity);

// Where a join token may have been left for the first start.
std::vector<std::string> boot_files(const Settings& settings);

Result<Loop::Options> loop_options(const Settings& settings);

}  // namespace edgefleet::agent
