// Connects the runs of a plug-in (one worker thread each) with the thread that serves the child.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "edge-agent/executors/plugin/messages.hpp"
#include "edge-agent/executors/process/run_limit.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent {

class PluginDesk {
 public:
  // A run that waits for the plug-in. All of it is guarded by the desk's mutex.
  struct Ticket {
    AttemptKey key;
    std::deque<Progress> progress;
    std::optional<PluginResult> result;  // once set, the ticket is complete
    std::size_t most_output_bytes = 0;
    bool silent = false;                 // cancelled without an answer in time
    std::condition_variable_any changed;
  };
  using TicketPtr = std::shared_ptr<Ticket>;

  // --- the runs' side ---
  // None while the plug-in is down, and for an attempt that is already held.
  TicketPtr open(const AttemptKey& key, const std::string& task_line, std::size_t most_output_bytes);
  // Waits for progress, a result, a stop request or the end of `most`. Takes the progress.
  std::deque<Progress> wait(Ticket& ticket, const std::stop_token& stop, Duration most);
  std::optional<PluginResult> result(const Ticket& ticket) const;
  void cancel(const Ticket& ticket);
  // The plug-in did not answer a cancel: it is killed, which ends the ticket.
  void give_up(Ticket& ticket);
  void close(const Ticket& ticket);

  // --- the child's side ---
  void set_up();                      // tickets are accepted from now on
  void set_down(const TaskError& why);  // ends all tickets and accepts no further ones
  std::string take_lines();
  [[nodiscard]] std::size_t longest_line() const;  // that the plug-in may write now
  [[nodiscard]] bool to_be_killed() const;  // a ticket was given up
  // False: no run waits for it.
  bool deliver(PluginResult result);
  bool deliver(PluginProgress progress);
  [[nodiscard]] const WakeFd& wake() const { return wake_; }

 private:
  mutable std::mutex mutex_;
  bool up_ = false;
  std::map<AttemptKey, TicketPtr> tickets_;
  std::string lines_;  // for the child; bounded by its slots
  WakeFd wake_;
};

}  // namespace edgefleet::agent
