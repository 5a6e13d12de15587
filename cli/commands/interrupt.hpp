// Ctrl-C while it is in scope: a stop request instead of the end, so that a command can say how things stand. A second
// one ends the program at once.
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

// Ends the process by the signal that the code stands for, so that a shell's loop ends too.
void die_by_signal(Exit code);

}  // namespace edgefleet::cli
