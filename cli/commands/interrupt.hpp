// While it is in scope, Ctrl-C is a stop request and does not end the program, so that a command can print the state of
// its tasks. A second Ctrl-C ends the program at once.
#pragma once

#include <atomic>
#include <csignal>
#include <stop_token>
#include <thread>

#include "cli/commands/session.hpp"

namespace edgefleet::cli {

class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  Interrupt(Interrupt&&) = delete;
  Interrupt& operator=(Interrupt&&) = delete;
  ~Interrupt();

  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }
  [[nodiscard]] bool happened() const { return source_.stop_requested(); }
  [[nodiscard]] Exit exit() const { return signal_ == SIGTERM ? Exit::terminated : Exit::interrupted; }

 private:
  void watch(const std::stop_token& over);
  sigset_t watched_{};
  sigset_t before_{};
  std::atomic<int> signal_{0};
  std::stop_source source_;
  std::jthread watcher_;
};

// Ends the process by the signal of this exit code, so that a loop of a shell ends too.
void die_by_signal(Exit code);

}  // namespace edgefleet::cli
