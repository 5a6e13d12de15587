// Runs one command of the agent's configuration: an executor of its own, with the capability `command.<name>`.
#pragma once

#include <memory>
#include <string>

#include "edge-agent/executors/command_config.hpp"
#include "edge-agent/executors/command_run.hpp"
#include "edge-agent/executors/executor_log.hpp"
#include "edge-agent/executors/port.hpp"
#include "edge-agent/executors/scratch.hpp"
#include "edge-agent/executors/spawner.hpp"

namespace edgefleet::agent {

// What executors that run processes share; one of each in an agent.
struct ProcessServices {
  std::shared_ptr<Spawner> spawner;
  std::shared_ptr<ScratchRoot> scratch;
  std::shared_ptr<ArtifactStore> artifacts;
  ExecutorLog log;
};

class CommandExecutor final : public Executor {
 public:
  CommandExecutor(CommandConfig config, ProcessServices services, ProcessGraces graces = {});
  CommandExecutor(const CommandExecutor&) = delete;
  CommandExecutor& operator=(const CommandExecutor&) = delete;
  CommandExecutor(CommandExecutor&&) = delete;
  CommandExecutor& operator=(CommandExecutor&&) = delete;
  ~CommandExecutor() override;

  [[nodiscard]] const ExecutorName& name() const override { return config_.executor; }
  [[nodiscard]] bool freezes() const override { return true; }
  void start(OnOffer on_offer) override;
  RunOutcome run(const Job& job, std::stop_token stop, const OnProgress& on_progress) override;

 private:
  struct Report;
  RunOutcome run_limited(const Job& job, std::stop_token stop);
  RunOutcome run_in(const Scratch& scratch, const Job& job, RunLimit& limit);
  [[nodiscard]] Result<ProcessSpec> spec_of(const Invocation& invocation, const Scratch& scratch) const;
  RunOutcome execute(const Invocation& invocation, const Scratch& scratch, RunLimit& limit, Report& report);
  RunOutcome conclude(const CommandEnd& end, const Scratch& scratch, RunLimit& limit, Report& report);
  [[nodiscard]] RunOutcome exit_outcome(int code, const Report& report) const;

  CommandConfig config_;
  ProcessServices services_;
  ProcessGraces graces_;
  RunGate gate_;
};

}  // namespace edgefleet::agent
