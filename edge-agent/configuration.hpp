// From settings to executors: at the start, and when the configuration is read again.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "edge-agent/executors/llm/ledger.hpp"
#include "edge-agent/executors/process_services.hpp"
#include "edge-agent/shell/reload.hpp"
#include "edge-agent/shell/settings.hpp"
#include "edge-agent/shell/settings_change.hpp"

namespace edgefleet::agent {

class RunningConfiguration {
 public:
  // `argv` and its strings outlive it.
  RunningConfiguration(Settings settings, int argc, const char* const* argv, ProcessServices services)
      : settings_(std::move(settings)), argc_(argc), argv_(argv), services_(std::move(services)) {}

  std::vector<std::unique_ptr<Executor>> executors();  // all, at the start
  // An error changes nothing.
  Result<NewConfiguration> read_again();

 private:
  template <typename Wanted>
  std::vector<std::unique_ptr<Executor>> make(const Settings& settings, Wanted wanted);
  void add_llm(std::vector<std::unique_ptr<Executor>>& all, const llm::Config& config);
  std::shared_ptr<llm::Ledger> ledger_of(const ExecutorName& executor);

  Settings settings_;  // in effect
  const int argc_;
  const char* const* const argv_;
  const ProcessServices services_;
  std::map<ExecutorName, std::weak_ptr<llm::Ledger>> ledgers_;  // of executors that may still be in use
};

}  // namespace edgefleet::agent
