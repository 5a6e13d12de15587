#include "edge-agent/executors/process.hpp"

#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace edgefleet::agent {

std::string signal_name(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : std::to_string(signal);
}

std::string describe(const ExitStatus& status) {
  return status.code ? "exit code " + std::to_string(*status.code) : "signal " + signal_name(status.signal);
}

Process::Process(std::shared_ptr<ProcessGroups> groups, pid_t pid, UniqueFd exit_fd, UniqueFd in_end, UniqueFd out_end,
                 UniqueFd err_end)
    : in(std::move(in_end)),
      out(std::move(out_end)),
      err(std::move(err_end)),
      groups_(std::move(groups)),
      pid_(pid),
      exit_fd_(std::move(exit_fd)) {
  groups_->add(pid_);
}

Process::Process(Process&& other) noexcept
    : in(std::move(other.in)),
      out(std::move(other.out)),
      err(std::move(other.err)),
      groups_(std::move(other.groups_)),
      pid_(std::exchange(other.pid_, -1)),
      exit_fd_(std::move(other.exit_fd_)),
      status_(other.status_) {}

Process::~Process() { finish(); }

bool Process::exited() const {
  if (pid_ < 0) return true;
  pollfd poll_exit{exit_fd_.get(), POLLIN, 0};
  return ::poll(&poll_exit, 1, 0) == 1;
}

void Process::keep_thawed() {
  if (pid_ > 0) groups_->remove(pid_);
}

void Process::terminate() {
  if (pid_ < 0) return;
  keep_thawed();  // it must run to end itself, however hot it is
  ::kill(-pid_, SIGTERM);
  ::kill(-pid_, SIGCONT);
}

void Process::kill() {
  if (pid_ > 0) ::kill(-pid_, SIGKILL);
}

// The leader is a zombie or alive until waitid() below, so the number of the group cannot have become a stranger's.
ExitStatus Process::finish() {
  if (pid_ < 0) return status_;
  groups_->remove(pid_);
  kill();
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (info.si_code == CLD_EXITED) {
    status_.code = info.si_status;
  } else {
    status_.signal = info.si_status;
  }
  return status_;
}

}  // namespace edgefleet::agent
