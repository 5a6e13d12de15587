#include "edge-agent/executors/process/process.hpp"

#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "edge-agent/executors/process/pipe_io.hpp"

namespace edgefleet::agent {
std::string signal_name(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : std::to_string(signal);
}

std::string describe(const ExitStatus& status) {
  return status.code ? "exit code " + std::to_string(*status.code) : "signal " + signal_name(status.signal);
}

Process::Process(std::shared_ptr<ProcessGroups> groups, std::shared_ptr<Children> children, Hold hold, UniqueFd in_end,
                 UniqueFd out_end, UniqueFd err_end)
    : in(std::move(in_end)),
      out(std::move(out_end)),
      err(std::move(err_end)),
      groups_(std::move(groups)),
      children_(std::move(children)),
      hold_(std::move(hold)) {
  if (hold_.leader > 0) groups_->add(hold_.leader);
}

Process::Process(Process&& other) noexcept
    : in(std::move(other.in)),
      out(std::move(other.out)),
      err(std::move(other.err)),
      groups_(std::move(other.groups_)),
      children_(std::move(other.children_)),
      hold_(std::move(other.hold_)),
      status_(other.status_) {
  other.hold_.supervisor = -1;
  other.hold_.leader = -1;
}

Process::~Process() { finish(); }

bool Process::exited() const {
  if (hold_.supervisor < 0) return true;
  pollfd poll_exit{hold_.end.get(), POLLIN, 0};
  return ::poll(&poll_exit, 1, 0) == 1;
}

// The supervisor reaps the leader only when the lifeline is closed, and Children only when it is removed there, so the
// group's id cannot be reused before.
void Process::signal_group(int signal) const {
  if (hold_.leader > 0) ::kill(-hold_.leader, signal);
}

void Process::keep_thawed() {
  if (hold_.leader > 0) groups_->remove(hold_.leader);
}

void Process::terminate() {
  keep_thawed();  // it must run to end itself, at any temperature
  signal_group(SIGTERM);
  signal_group(SIGCONT);
}

void Process::kill() { signal_group(SIGKILL); }

ExitStatus Process::finish() {
  if (hold_.supervisor < 0) return status_;
  keep_thawed();
  kill();
  const pid_t leader = std::exchange(hold_.leader, -1);
  hold_.lifeline.reset();
  status_.signal = SIGKILL;  // if the supervisor was killed, it did not report a status
  const bool swept = hear_until_swept();
  ::kill(hold_.supervisor, SIGKILL);  // it has nothing left to do, or is stopped again and again
  while (::waitpid(hold_.supervisor, nullptr, 0) < 0 && errno == EINTR) {
  }
  children_->remove(hold_.supervisor, leader);
  hold_.supervisor = -1;
  if (!swept || status_.left) status_.left = !children_->end_orphans(orphan_patience);
  return status_;
}

// False: it was killed, or did not answer in time.
bool Process::hear_until_swept() {
  Patience patience(sweep_patience + orphan_patience);
  while (wait_for_supervisor(hold_.news, hold_.supervisor, patience)) {
    const auto news = read_record<SupervisorNews>(hold_.news);
    if (!news) return false;
    take(*news);
    if (news->what == SupervisorNews::What::swept) return true;
  }
  return false;
}

void Process::take(const SupervisorNews& news) {
  if (news.what == SupervisorNews::What::swept) status_.left = news.left != 0;
  if (news.what != SupervisorNews::What::exited) return;
  status_.signal = 0;
  if (news.code == CLD_EXITED) {
    status_.code = news.status;
  } else {
    status_.signal = news.status;
  }
}

}  // namespace edgefleet::agent
