#pragma once

#include <functional>
#include <stop_token>
#include <thread>

namespace edgefleet {

// Call first in main: SIGINT, SIGTERM and SIGHUP (not under nohup) are blocked in every thread from then on and come to
// `Signals` only; SIGPIPE is ignored.
void block_signals();
// In a child before exec: reverts block_signals.
void unblock_signals();

// Calls one of them, from a thread of its own, for each signal. SIGHUP to a program with a terminal means that the
// terminal closes, and is `on_stop`; to a service, which has no terminal, it means `on_reload`, as is usual.
class Signals {
 public:
  explicit Signals(std::function<void()> on_stop, std::function<void()> on_reload = [] {});

 private:
  std::jthread thread_;
};

}  // namespace edgefleet
