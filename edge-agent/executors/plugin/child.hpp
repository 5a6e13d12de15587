// One process of a plug-in: from its start, through its hello and its lines, to its end.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "common/core/line_reader.hpp"
#include "edge-agent/executors/plugin/config.hpp"
#include "edge-agent/executors/plugin/desk.hpp"
#include "edge-agent/executors/plugin/messages.hpp"
#include "edge-agent/executors/process/process.hpp"
#include "edge-agent/executors/process_services.hpp"

namespace edgefleet::agent {

// A plug-in with much output must not fill the agent's log: some lines at once, then some per second.
class LogBudget {
 public:
  bool take(Time now);
  std::size_t take_suppressed() { return std::exchange(suppressed_, 0); }

 private:
  static constexpr double most = 50;
  static constexpr double per_second = 10;
  double left_ = most;
  Time at_{};
  std::size_t suppressed_ = 0;
};

class PluginChild {
 public:
  using OnHello = std::function<void(const PluginHello&)>;

  PluginChild(Process process, std::string name, PluginDesk& desk, const PluginTimes& times,
              const ProcessServices& services);

  // Blocks until the process has ended; returns the reason, for people. On a stop request it is asked to end, then
  // killed; at once if the agent must end at once. All its output up to then is delivered to the desk.
  std::string serve(const std::stop_token& stop, const OnHello& on_hello);

 private:
  [[nodiscard]] bool must_end();  // sets reason_
  void exchange(Duration most);
  void write_lines();
  void read_out();
  void read_err();
  void take_line(std::string_view line);
  void take_message(std::string_view line);
  void take_error_line(std::string_view line);
  void say(Severity severity, const std::string& text);
  bool wait_for_end(Duration most);
  void shut_down();
  std::string bury();

  Process process_;
  std::string name_;
  PluginDesk& desk_;
  const PluginTimes& times_;
  std::shared_ptr<const ProcessGroups> clock_;
  ExecutorLog log_;
  std::stop_token at_once_;
  OnHello on_hello_;
  LogBudget budget_;
  LineReader out_{longest_plugin_line, LineReader::Overlong::cut};  // a cut line is not JSON, but names its task
  LineReader err_{4096, LineReader::Overlong::cut};
  std::string outgoing_;
  std::size_t written_ = 0;  // of outgoing_
  bool greeted_ = false;
  Time hello_until_;
  std::optional<Time> broken_until_;
  std::string reason_;  // why the agent ends it
  std::string last_error_line_;
};

}  // namespace edgefleet::agent
