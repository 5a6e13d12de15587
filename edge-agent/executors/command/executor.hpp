// Runs one command of the agent's configuration: an executor of its own, with the capability `command.<name>`.
#pragma once

#include <memory>
#include <string>

#include "edge-agent/executors/command/config.hpp"
#include "edge-agent/executors/command/run.hpp"
#include "edge-agent/executors/files/scratch.hpp"
#include "edge-agent/executors/port.hpp"
#include "edge-agent/executors/process/spawner.hpp"
#include "edge-agent/executors/process_services.hpp"

namespace edgefleet::agent {

class CommandExecutor final : public Executor {
 public:
  CommandExecutor(CommandConfig config, ProcessServices services, ProcessGraces graces = {});
  CommandExecutor(const CommandExecutor&) = delete;
  CommandExecutor& operator=(const CommandExecutor&) = delete;
  CommandExecutor(CommandExecutor&&) = delete;
  CommandExecutor& operator=(CommandExecutor&&) = delete;
  ~CommandExecutor() override;

  [[nodiscard]] const ExecutorName& name() const override { return config_.executor; }
  [[nodiscard]] std::map<Capability, JsonText> parameters() const override {
    return {{config_.capability, config_.parameters()}};
  }
  [[nodiscard]] bool freezes() const override { return true; }
  [[nodiscard]] bool needs_files() const override { return config_.needs_files(); }
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
