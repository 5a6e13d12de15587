#include "edge-agent/shell/settings.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "common/core/where.hpp"
#include "common/files/trusted.hpp"
#include "common/http/url.hpp"
#include "common/mqtt/tls.hpp"
#include "common/runtime/secret.hpp"
#include "common/runtime/table_reader.hpp"
#include "edge-agent/sensors/machine.hpp"

namespace edgefleet::agent {
namespace {

std::string host_name() {
  std::array<char, 256> text{};
  gethostname(text.data(), text.size() - 1);
  std::string name(text.data());
  name = name.substr(0, name.find('.'));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

Result<ParamSettings> read_param(const std::string& file, const std::string& what, const toml::table& table) {
  ParamSettings param;
  TableReader reader(file, what, table);
  reader.read("type", param.type);
  reader.read("pattern", param.pattern);
  reader.read_number("min", param.min);
  reader.read_number("max", param.max);
  reader.read("max_length", param.max_length);
  reader.read("stdin", param.to_stdin);
  param.default_value = reader.scalar("default");
  reader.read_choices("choices", param.choices);
  if (auto good = reader.finish(); !good) return good.error();
  return param;
}

Status read_params(const std::string& file, const toml::table& params, CommandSettings& command) {
  const std::string what = "command '" + command.name + "'";
  TableReader reader(file, what + ", params", params);
  for (const auto& name : reader.keys()) {
    const auto* table = reader.table(name);
    if (table == nullptr) break;
    auto param = read_param(file, what + ", param '" + name + "'", *table);
    if (!param) return param.error();
    command.params.emplace(name, std::move(*param));
  }
  return reader.finish();
}

// Converts a table of the file to the executor's configuration; an error has its place.
template <typename Config, typename Read>
Result<Config> checked(TableReader& reader, const std::string& file, const toml::table& table, const Read& read) {
  if (auto good = reader.finish(); !good) return good.error();
  auto config = Config::check(read);
  if (!config) return invalid(place_in(file, table) + config.error().message);
  return config;
}

Result<CommandConfig> read_command(const std::string& file, const toml::table& table) {
  CommandSettings command;
  TableReader reader(file, "[[command]]", table);
  reader.need("name");
  reader.read("name", command.name);
  reader.read_list("argv", command.argv);
  reader.read("slots", command.slots);
  reader.read("timeout_s", command.timeout_s);
  reader.read_strings("env", command.env);
  reader.read("output_bytes", command.output_bytes);
  reader.read("artifact_bytes", command.artifact_bytes);
  reader.read("artifact_files", command.artifact_files);
  reader.read_list("retry_exit_codes", command.retry_exit_codes);
  reader.read("sandbox", command.sandbox);
  if (const auto* params = reader.table("params")) {
    if (auto read = read_params(file, *params, command); !read) return read.error();
  }
  return checked<CommandConfig>(reader, file, table, command);
}

Result<PluginConfig> read_plugin(const std::string& file, const toml::table& table) {
  PluginSettings plugin;
  TableReader reader(file, "[[plugin]]", table);
  reader.need("name");
  reader.read("name", plugin.name);
  reader.read_list("argv", plugin.argv);
  reader.read_strings("env", plugin.env);
  reader.read("cwd", plugin.cwd);
  reader.read("restart_first_s", plugin.restart_first_s);
  reader.read("restart_most_s", plugin.restart_most_s);
  reader.read("artifact_bytes", plugin.artifact_bytes);
  reader.read("artifact_files", plugin.artifact_files);
  reader.read("sandbox", plugin.sandbox);
  return checked<PluginConfig>(reader, file, table, plugin);
}

Result<llm::Config> read_llm(const std::string& file, const toml::table& table) {
  llm::Settings llm;
  TableReader reader(file, "[[llm]]", table);
  reader.need("provider");
  reader.read("name", llm.name);
  reader.read("provider", llm.provider);
  reader.read("url", llm.url);
  reader.read_list("models", llm.models);
  reader.read("slots", llm.slots);
  reader.read("api_key_file", llm.api_key_file);
  reader.read("api_key_env", llm.api_key_env);
  reader.read("connect_timeout_s", llm.connect_timeout_s);
  reader.read("first_token_timeout_s", llm.first_token_timeout_s);
  reader.read("token_timeout_s", llm.token_timeout_s);
  reader.read("refresh_s", llm.refresh_s);
  reader.read("num_ctx", llm.num_ctx);
  reader.read("num_thread", llm.num_thread);
  reader.read("keep_alive", llm.keep_alive);
  reader.read("registry", llm.registry);
  reader.read("models_dir", llm.models_dir);
  reader.read_list("pull", llm.pull);
  reader.read_list("pull_hosts", llm.pull_hosts);
  reader.read("requests_per_minute", llm.requests_per_minute);
  reader.read("requests_per_day", llm.requests_per_day);
  reader.read("tokens_per_day", llm.tokens_per_day);
  reader.read_number("price_prompt", llm.price_prompt);
  reader.read_number("price_completion", llm.price_completion);
  return checked<llm::Config>(reader, file, table, llm);
}

template <typename Config>
Status read_all(const Configuration& configuration, const char* name, std::vector<Config>& into,
                Result<Config> (*read)(const std::string&, const toml::table&)) {
  const auto tables = tables_of(configuration, name);
  if (!tables) return tables.error();
  for (const auto* table : *tables) {
    auto config = read(configuration.file_path(), *table);
    if (!config) return config.error();
    for (const auto& other : into) {
      if (other.executor == config->executor) {
        return invalid(place_in(configuration.file_path(), *table) + "another [[" + name + "]] has the same name");
      }
    }
    into.push_back(std::move(*config));
  }
  return success();
}

// The executors of Ollama's models have names of their own.
Status check_keepers(const Configuration& configuration, const std::vector<llm::Config>& llms) {
  for (const auto& one : llms) {
    const bool taken = std::any_of(llms.begin(), llms.end(),
                                   [&](const auto& other) { return one.keeper == std::optional(other.executor); });
    if (taken) {
      return invalid(configuration.file_path() +
                     ": the name of an [[llm]] must not be the name of an Ollama followed by "
                     "-models: " +
                     one.keeper->str());
    }
  }
  return success();
}

Status read_labels(const Configuration& configuration, std::map<std::string, std::string>& labels) {
  const auto table = table_of(configuration, "labels");
  if (!table) return table.error();
  if (*table == nullptr) return success();
  AgentInfo machine;
  describe_machine(machine);
  TableReader reader(configuration.file_path(), "[labels]", **table);
  for (const auto& name : reader.keys()) {
    std::string text;
    reader.read(name, text);
    if (!valid_key(name)) reader.fail(name, "the name of a label has " + std::string(key_rule));
    const auto& reserved = reserved_keys();
    if (std::find(reserved.begin(), reserved.end(), name) != reserved.end()) {
      reader.fail(name, "a label must have another name: conditions on " + name + " need no label");
    }
    if (name.size() > limits::label_bytes || text.size() > limits::label_bytes) {
      reader.fail(name, "a label and its name have at most " + std::to_string(limits::label_bytes) + " bytes each");
    }
    if (!text.empty() && std::string_view("=<>!~").find(text.front()) != std::string_view::npos) {
      reader.fail(name, "a label must not begin with an operator: no condition could name it");
    }
    labels[name] = machine.labels[name] = text;
  }
  if (machine.labels.size() > limits::labels) {
    reader.fail(**table, std::to_string(machine.labels.size()) +
                             " labels, including those that the agent adds; at most " + std::to_string(limits::labels));
  }
  return reader.finish();
}

// The defaults of the board, with the owner's settings; a limit that is not set keeps its distance to one that is set.
Result<HeatLimits> heat_limits(const Settings& settings) {
  AgentInfo machine;
  describe_machine(machine);
  HeatLimits limits = limits_for_board(machine.board);
  const double hysteresis = limits.reduce - limits.normal;
  const double range = limits.pause - limits.reduce;
  if (settings.reduce_celsius > 0) {
    limits.reduce = settings.reduce_celsius;
    limits.pause = std::max(limits.pause, limits.reduce + range);
  }
  if (settings.pause_celsius > 0) {
    limits.pause = settings.pause_celsius;
    if (settings.reduce_celsius <= 0) limits.reduce = std::min(limits.reduce, limits.pause - range);
  }
  limits.normal = settings.normal_celsius > 0 ? settings.normal_celsius : limits.reduce - hysteresis;
  limits.observe_only = settings.heat == "firmware";
  if (limits.normal < limits.reduce && limits.reduce < limits.pause) return limits;
  std::ostringstream text;
  text << "the limits of heat must grow from --normal-celsius through --reduce-celsius to --pause-celsius; they are "
       << limits.normal << ", " << limits.reduce << ", " << limits.pause;
  return Error{text.str(), ErrorKind::invalid};
}

constexpr const char* description =
    "An agent of a fleet: runs tasks that the coordinator sends over MQTT, and reports its state.";

void declare(Configuration& configuration, Settings& s) {
  configuration.option("name", s.name,
                       "name of this agent, unique in its fleet (default: the name of this machine, with a suffix if "
                       "another machine has it)");
  configuration.option("broker", s.broker, "the MQTT broker: mqtt://HOST:PORT, or mqtts://HOST:PORT with TLS");
  mqtt::add_tls_options(configuration, s.broker_ca, s.broker_certificate, s.broker_key);
  configuration.option("username", s.username, "user name at the broker");
  configuration.option("password-file", s.password_file, "file with the password at the broker");
  configuration.option("coordinator", s.coordinator, "the coordinator's HTTP API, for artifacts: http://HOST:PORT");
  configuration.option("fleet", s.fleet, "name of the fleet");
  configuration.option("work", s.work, "directory for scratch folders and persistent data");
  configuration.option("join-file", s.join_file,
                       "file with a join token, for an agent that has not joined a fleet yet; it is erased after that "
                       "(default: edgefleet-join on the boot partition)");
  configuration.option("echo", s.echo, "offer the capability echo with this many slots (0: do not offer it)")
      ->check(CLI::Range(0, 10'000));
  configuration.option("max-held", s.max_held, "maximum number of held tasks, over all executors")
      ->check(CLI::Range(1, 1024));
  configuration
      .option("max-task-mb", s.max_task_mb,
              "maximum size of the input of a task that this agent takes, in MiB (default: 64, or a sixteenth of the "
              "memory if that is less; 0: only inputs of up to 252 KiB)")
      ->check(CLI::Range(0, static_cast<int>(limits::most_task_bytes >> 20U)))
      ->default_str("");
  configuration.option("stop-grace-s", s.stop_grace_s, "seconds that running tasks have when the agent is stopped")
      ->check(CLI::Range(0, 3600));
  configuration.option("heat", s.heat, "policy: reduce the capacity when hot; firmware: only observe")
      ->check(CLI::IsMember({"policy", "firmware"}));
  configuration.option("normal-celsius", s.normal_celsius, "restore slots below this (0: by board, else 73)")
      ->check(CLI::Range(0.0, 120.0));
  configuration.option("reduce-celsius", s.reduce_celsius, "half the slots at or above this (0: by board, else 75)")
      ->check(CLI::Range(0.0, 120.0));
  configuration.option("pause-celsius", s.pause_celsius, "no new tasks at or above this (0: by board, else 78)")
      ->check(CLI::Range(0.0, 120.0));
  configuration.option("sys", s.sys, "root of sysfs, where temperature and throttling are read");
  configuration.log_level(s.log_level);
  for (const char* table : {"labels", "command", "plugin", "llm"}) configuration.allow_table(table);
  configuration.footer(
      "The file defines commands, plug-ins, LLM back ends and labels: docs/agent.md, docs/plugins.md, docs/llm.md.\n"
      "Each option is also an environment variable (--max-held: EDGEFLEET_MAX_HELD) and a key of the TOML file;\n"
      "flags override the environment, which overrides the file.\n\n"
      "Examples:\n"
      "  edgefleet-agent --echo 4\n"
      "  edgefleet-agent --name pi-1 --config /etc/edgefleet/agent.toml\n"
      "  edgefleet-agent join --token-file - --work edgefleet-work     (once, for a fleet on other machines)\n");
}

Status take_tables(const Configuration& configuration, Settings& s) {
  s.file = configuration.file_path();
  if (auto trusted = check_trusted(s.file, "--config"); !trusted) return trusted;
  for (const char* option :
       {"name", "fleet", "broker", "broker-ca", "broker-certificate", "broker-key", "coordinator"}) {
    if (configuration.given(option)) s.given.insert(option);
  }
  s.name_is_default = s.name.empty();
  if (s.name_is_default) s.name = host_name();
  for (auto& good : {read_labels(configuration, s.labels), read_all(configuration, "command", s.commands, read_command),
                     read_all(configuration, "plugin", s.plugins, read_plugin),
                     read_all(configuration, "llm", s.llms, read_llm), check_keepers(configuration, s.llms)}) {
    if (!good) return good;
  }
  return success();
}

}  // namespace

std::optional<int> read_settings(Settings& settings, int argc, const char* const* argv, const Declare& more) {
  Configuration configuration(description, program);
  declare(configuration, settings);
  if (more) more(configuration);
  if (const auto code = configuration.parse(argc, argv)) return code;
  const auto taken = take_tables(configuration, settings);
  return taken ? std::nullopt : std::optional(wrong_usage(program, taken.error().message));
}

std::vector<std::string> boot_files(const Settings& settings) {
  if (!settings.join_file.empty()) return {settings.join_file};
  return {"/boot/firmware/edgefleet-join", "/boot/edgefleet-join"};
}

Status take_identity(Settings& s, const Identity& identity) {
  const IdentityFiles files(s.work);
  const auto differs = [&](const char* option, const std::string& value, const std::string& joined) {
    return s.given.contains(option) && value != joined;
  };
  if (differs("name", s.name, identity.name) || differs("fleet", s.fleet, identity.fleet)) {
    return invalid("this machine has joined fleet " + identity.fleet + " as agent " + identity.name +
                   "; remove --name and --fleet, or join again: edgefleet-agent join --again --work " + s.work);
  }
  if (s.given.contains("broker") && !s.broker.starts_with("mqtts://")) {
    return invalid("--broker " + s.broker + " has no TLS, but this machine has joined fleet " + identity.fleet +
                   ", whose broker has: write mqtts://HOST:PORT, or remove --broker");
  }
  s.name = identity.name;
  s.name_is_default = false;
  s.fleet = identity.fleet;
  const auto take = [&](const char* option, std::string& value, const std::string& joined) {
    if (!s.given.contains(option)) value = joined;
  };
  take("broker", s.broker, identity.broker);
  take("broker-ca", s.broker_ca, files.ca());
  take("broker-certificate", s.broker_certificate, files.certificate());
  take("broker-key", s.broker_key, files.key());
  take("coordinator", s.coordinator, identity.coordinator);
  return success();
}

Result<Settings> read_settings_again(int argc, const char* const* argv) {
  Configuration configuration(description, program);
  Settings settings;
  declare(configuration, settings);
  if (auto read = configuration.read_again(argc, argv); !read) return read.error();
  if (auto taken = take_tables(configuration, settings); !taken) return taken.error();
  const auto identity = load_identity(settings.work);
  if (!identity) return identity.error();
  if (*identity) {
    if (auto taken = take_identity(settings, **identity); !taken) return taken.error();
  }
  return settings;
}

namespace {

std::uint64_t max_task_bytes(int set_mb) {
  if (set_mb >= 0) return std::uint64_t(set_mb) << 20U;
  AgentInfo machine;
  describe_machine(machine);
  return std::min<std::uint64_t>(limits::most_task_bytes, machine.memory_bytes / 16);
}

}  // namespace

Result<Loop::Options> loop_options(const Settings& s) {
  Loop::Options options;
  const auto name = AgentName::parse(s.name);
  if (!name) return Error{"--name \"" + s.name + "\" is not valid: " + std::string(name_rule), ErrorKind::invalid};
  const auto fleet = FleetName::parse(s.fleet);
  if (!fleet) return Error{"--fleet \"" + s.fleet + "\" is not valid: " + std::string(name_rule), ErrorKind::invalid};
  const auto broker = mqtt::parse_address(s.broker);
  if (!broker) return broker.error();
  const mqtt::TlsFiles tls{s.broker_ca, s.broker_certificate, s.broker_key};
  if (auto usable = mqtt::check_tls(*broker, tls); !usable) return usable.error();
  if (!s.coordinator.empty() && !http::is_server(s.coordinator)) {
    return Error{"--coordinator \"" + s.coordinator + "\" is not of the form http://HOST:PORT", ErrorKind::invalid};
  }
  const auto keepers = static_cast<std::size_t>(
      std::count_if(s.llms.begin(), s.llms.end(), [](const auto& llm) { return llm.keeper.has_value(); }));
  const auto executors = s.commands.size() + s.plugins.size() + s.llms.size() + keepers + (s.echo > 0 ? 1 : 0);
  if (executors > limits::message_elements) {
    return Error{"an agent has at most " + std::to_string(limits::message_elements) +
                     " commands, plug-ins and LLM back ends (an Ollama counts twice)",
                 ErrorKind::invalid};
  }
  options.name = *name;
  options.fleet = *fleet;
  options.broker.broker = s.broker;
  options.broker.tls = tls;
  options.broker.username = s.username;
  if (!s.password_file.empty()) {
    auto password = read_secret(s.password_file);
    if (!password) return password.error();
    options.broker.password = *password;
  }
  options.policy.max_tasks = s.max_held;
  options.policy.stop_grace = std::chrono::seconds(s.stop_grace_s);
  auto heat = heat_limits(s);
  if (!heat) return heat.error();
  options.heat = *heat;
  if (!s.coordinator.empty()) options.max_task_bytes = max_task_bytes(s.max_task_mb);
  options.work = s.work;
  options.broker_host = broker->host;
  options.labels = s.labels;
  options.sys = s.sys;
  options.unknown_results = s.work + "/unknown-results";
  options.spool = s.work + "/spool/results";
  return options;
}

}  // namespace edgefleet::agent
