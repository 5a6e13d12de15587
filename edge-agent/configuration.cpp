#include "edge-agent/configuration.hpp"

#include <algorithm>

#include "common/core/joined.hpp"
#include "common/runtime/log.hpp"
#include "edge-agent/executors/command/executor.hpp"
#include "edge-agent/executors/echo.hpp"
#include "edge-agent/executors/llm/executor.hpp"
#include "edge-agent/executors/llm/model_keeper.hpp"
#include "edge-agent/executors/plugin/executor.hpp"
#include "edge-agent/executors/process/spawner.hpp"
#include "edge-agent/sensors/machine.hpp"
#include "edge-agent/shell/hidden_files.hpp"

namespace edgefleet::agent {

std::shared_ptr<llm::Ledger> RunningConfiguration::ledger_of(const ExecutorName& executor) {
  auto& known = ledgers_[executor];
  auto ledger = known.lock();
  if (!ledger) {
    ledger = std::make_shared<llm::Ledger>(settings_.work + "/llm/" + executor.str() + ".json", services_.log);
    known = ledger;
  }
  return ledger;
}

// An Ollama has a second executor, which manages its models.
void RunningConfiguration::add_llm(std::vector<std::unique_ptr<Executor>>& all, const llm::Config& config) {
  auto lookout = std::make_shared<llm::Lookout>();
  if (config.keeper) {
    AgentInfo machine;
    describe_machine(machine);
    all.push_back(std::make_unique<llm::ModelKeeper>(config, machine.memory_bytes, lookout, services_.log));
  }
  all.push_back(
      std::make_unique<llm::LlmExecutor>(config, ledger_of(config.executor), services_.log, std::move(lookout)));
}

template <typename Wanted>
std::vector<std::unique_ptr<Executor>> RunningConfiguration::make(const Settings& settings, Wanted wanted) {
  std::vector<std::unique_ptr<Executor>> all;
  if (settings.echo > 0 && wanted(*ExecutorName::parse("echo"))) {
    all.push_back(std::make_unique<EchoExecutor>(settings.echo));
  }
  for (const auto& command : settings.commands) {
    if (wanted(command.executor)) all.push_back(std::make_unique<CommandExecutor>(command, services_));
  }
  for (const auto& llm : settings.llms) {
    if (wanted(llm.executor)) add_llm(all, llm);
  }
  for (const auto& plugin : settings.plugins) {
    if (wanted(plugin.executor)) all.push_back(std::make_unique<PluginExecutor>(plugin, services_));
  }
  return all;
}

std::vector<std::unique_ptr<Executor>> RunningConfiguration::executors() {
  return make(settings_, [](const ExecutorName&) { return true; });
}

Result<NewConfiguration> RunningConfiguration::read_again() {
  auto settings = read_settings_again(argc_, argv_);
  if (!settings) return settings.error();
  auto options = loop_options(*settings);  // also what needs a restart must be right
  if (!options) return options.error();
  const auto change = difference(settings_, *settings);
  keep_until_restart(settings_, *settings);
  const auto in = [](const std::vector<ExecutorName>& names, const ExecutorName& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  NewConfiguration fresh;
  try {
    fresh.executors =
        make(*settings, [&](const auto& name) { return in(change.added, name) || in(change.changed, name); });
  } catch (const std::exception& failure) {
    return Error{std::string("an executor cannot be created: ") + failure.what()};
  }
  fresh.max_tasks = options->policy.max_tasks;
  fresh.max_task_bytes = options->max_task_bytes;
  fresh.stop_grace = options->policy.stop_grace;
  fresh.heat = options->heat;
  fresh.labels = std::move(options->labels);
  fresh.changed = change.changed;
  fresh.removed = change.removed;
  fresh.changes = changes_text(change);
  fresh.restart = joined(change.restart);
  (void)log::set_level(settings->log_level);  // it was checked with the options
  settings_ = std::move(*settings);
  services_.spawner->hide(hidden_files(settings_));  // before the new executors start
  return fresh;
}

}  // namespace edgefleet::agent
