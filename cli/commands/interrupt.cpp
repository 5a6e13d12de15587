#include "cli/commands/interrupt.hpp"

#include <pthread.h>
#include <unistd.h>

namespace edgefleet::cli {

Interrupt::Interrupt() {
  sigemptyset(&watched_);
  sigaddset(&watched_, SIGINT);
  sigaddset(&watched_, SIGTERM);
  // Before any thread starts: all threads inherit the mask, and only the watcher receives these signals.
  pthread_sigmask(SIG_BLOCK, &watched_, &before_);
  watcher_ = std::jthread([this](const std::stop_token& over) { watch(over); });
}

Interrupt::~Interrupt() {
  watcher_.request_stop();
  pthread_kill(watcher_.native_handle(), SIGINT);  // only to wake it
  watcher_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Interrupt::watch(const std::stop_token& over) {
  for (int signal = 0; sigwait(&watched_, &signal) == 0 && !over.stop_requested();) {
    if (signal_.exchange(signal) != 0) _exit(static_cast<int>(exit()));
    source_.request_stop();
  }
}

void die_by_signal(Exit code) {
  const int signal = code == Exit::terminated ? SIGTERM : SIGINT;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace edgefleet::cli
