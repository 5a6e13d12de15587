#pragma once

#include <functional>
#include <stop_token>
#include <thread>

namespace edgefleet {

// Call first in main: SIGINT, SIGTERM and SIGHUP (the terminal is closed; not under nohup) are blocked in every thread
// from then on and come to `Signals` only; SIGPIPE is ignored.
void block_signals();
// In a child before exec: undoes block_signals.
void unblock_signals();

// Calls `on_signal` from a thread of its own for each of them.
class Signals {
 public:
  explicit Signals(std::function<void(int)> on_signal);

 private:
  std::jthread thread_;
};

}  // namespace edgefleet
