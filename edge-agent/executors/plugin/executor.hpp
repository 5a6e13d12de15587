// Runs tasks in a long-lived child that exchanges JSON lines (docs/plugins.md); its hello lists capabilities and slots.
// A plug-in that dies is restarted with backoff, and is out of service meanwhile.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "edge-agent/executors/files/scratch.hpp"
#include "edge-agent/executors/plugin/child.hpp"
#include "edge-agent/executors/plugin/config.hpp"
#include "edge-agent/executors/plugin/desk.hpp"
#include "edge-agent/executors/port.hpp"
#include "edge-agent/executors/process/spawner.hpp"
#include "edge-agent/executors/process_services.hpp"

namespace edgefleet::agent {

class PluginExecutor final : public Executor {
 public:
  PluginExecutor(PluginConfig config, ProcessServices services, PluginTimes times = {});
  PluginExecutor(const PluginExecutor&) = delete;
  PluginExecutor& operator=(const PluginExecutor&) = delete;
  PluginExecutor(PluginExecutor&&) = delete;
  PluginExecutor& operator=(PluginExecutor&&) = delete;
  ~PluginExecutor() override;

  [[nodiscard]] const ExecutorName& name() const override { return config_.executor; }
  [[nodiscard]] std::map<Capability, JsonText> parameters() const override;
  [[nodiscard]] bool freezes() const override { return true; }
  [[nodiscard]] bool needs_files() const override { return true; }  // which of its tasks name any is not known
  void start(OnOffer on_offer) override;
  void ask_to_end() override { supervisor_.request_stop(); }
  // After a stop request it returns within PluginTimes::cancel plus the time of a kill.
  RunOutcome run(const Job& job, std::stop_token stop, const OnProgress& on_progress) override;

 private:
  // The supervisor's side: one thread.
  void supervise(const std::stop_token& stop);
  std::string live(const std::stop_token& stop);
  [[nodiscard]] Result<ProcessSpec> spec() const;
  void offer(const PluginHello& hello);
  void offer_nothing(const std::string& problem, bool ends_soon = false);
  void pause(const std::stop_token& stop, Duration most) const;

  // The runs' side: a thread per slot.
  RunOutcome run_limited(const Job& job, std::stop_token stop, const OnProgress& on_progress);
  RunOutcome run_in(const Scratch& scratch, const Job& job, RunLimit& limit, const OnProgress& on_progress);
  PluginResult await(PluginDesk::Ticket& ticket, RunLimit& limit, const OnProgress& on_progress);
  PluginResult await_cancelled(PluginDesk::Ticket& ticket);
  RunOutcome take_over(const PluginResult& result, const Scratch& scratch, RunLimit& limit);
  [[nodiscard]] std::string problem() const;

  PluginConfig config_;
  ProcessServices services_;
  PluginTimes times_;
  OnOffer on_offer_;
  RunGate gate_;
  PluginDesk desk_;
  mutable std::mutex mutex_;
  std::string problem_;  // guarded by mutex_
  PluginHello last_hello_;  // the supervisor's: its offer while it is in service
  std::optional<Time> up_at_;  // the supervisor's; the time of its hello
  std::jthread supervisor_;  // last: it uses the others
};

}  // namespace edgefleet::agent
