#include "common/runtime/signals.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

namespace edgefleet {
namespace {

// A program under nohup must outlive the terminal. (A blocked signal is delivered to sigtimedwait() although it is
// ignored.)
bool ignored(int signal) {
  struct sigaction action{};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

bool has_terminal() {
  const int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);  // the controlling terminal
  if (terminal >= 0) close(terminal);
  return terminal >= 0;
}

sigset_t awaited() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  if (!ignored(SIGHUP)) sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

void block_signals() {
  const sigset_t set = awaited();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed connection is an error code, not a fatal signal
}

void unblock_signals() {
  const sigset_t set = awaited();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
}

Signals::Signals(std::function<void()> on_stop, std::function<void()> on_reload)
    : thread_([on_stop = std::move(on_stop), on_reload = std::move(on_reload),
               reloads = !has_terminal()](const std::stop_token& stop) {
        const sigset_t set = awaited();
        const timespec patience{0, 200'000'000};  // the longest time that the destructor waits
        while (!stop.stop_requested()) {
          const int signal = sigtimedwait(&set, nullptr, &patience);
          if (signal > 0) signal == SIGHUP&& reloads ? on_reload() : on_stop();
        }
      }) {}

}  // namespace edgefleet
