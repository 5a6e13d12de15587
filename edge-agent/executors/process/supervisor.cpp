#include "edge-agent/executors/process/supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <string_view>

#include "edge-agent/executors/process/children.hpp"

namespace edgefleet::agent {
namespace {

using What = SupervisorNews::What;

void close_all(unsigned first, unsigned last) {
  if (first > last || ::syscall(SYS_close_range, first, last, 0U) == 0) return;
  rlimit files{};
  const rlim_t most = ::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 65536 ? files.rlim_cur : 65536;
  for (unsigned fd = first; fd <= last && fd < most; ++fd) ::close(static_cast<int>(fd));
}

// In particular ends of pipes, such as the lifelines of other supervisors, and the lock of the work_dir.
void keep_only(int one, int other) {
  const auto low = static_cast<unsigned>(std::min(one, other));
  const auto high = static_cast<unsigned>(std::max(one, other));
  if (low > 0) close_all(0, low - 1);
  close_all(low + 1, high - 1);
  close_all(high + 1, ~0U);
}

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// Our children are not reaped meanwhile, so no id can be reused between the check and the signal.
void kill_children() {
  for_each_child([](pid_t child, void*) { ::kill(child, SIGKILL); }, nullptr);
}

// The score of this process while it makes the leader, which inherits it. A process that is not dumpable cannot open
// the file, so this one is dumpable for that one call; no process of the command exists then.
class LentOomScore {
 public:
  explicit LentOomScore(std::string_view score) {
    ::prctl(PR_SET_DUMPABLE, 1);
    fd_ = ::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    ::prctl(PR_SET_DUMPABLE, 0);
    const auto got = ::read(fd_, own_.data(), own_.size());
    bytes_ = got > 0 ? static_cast<std::size_t>(got) : 0;
    if (bytes_ > 0) set(score);
  }
  LentOomScore(const LentOomScore&) = delete;
  LentOomScore& operator=(const LentOomScore&) = delete;
  LentOomScore(LentOomScore&&) = delete;
  LentOomScore& operator=(LentOomScore&&) = delete;
  ~LentOomScore() {
    if (bytes_ > 0) set({own_.data(), bytes_});
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  void set(std::string_view score) const {
    [[maybe_unused]] const auto written = ::write(fd_, score.data(), score.size());
  }
  int fd_ = -1;
  std::array<char, 16> own_{};
  std::size_t bytes_ = 0;
};

class Supervisor {
 public:
  Supervisor(pid_t leader, int lifeline, int news) : leader_(leader), lifeline_(lifeline), news_(news) {}

  [[noreturn]] void run() {
    sigset_t child;
    ::sigemptyset(&child);
    ::sigaddset(&child, SIGCHLD);
    children_ = ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    watch();
    ::kill(-leader_, SIGKILL);
    const bool left = !sweep();
    report_exit();
    SupervisorNews swept;
    swept.what = What::swept;
    swept.left = left ? 1 : 0;
    tell(swept);
    ::_exit(0);
  }

 private:
  void tell(const SupervisorNews& news) const {
    [[maybe_unused]] const auto written = ::write(news_, &news, sizeof news);
  }

  void wait_for_child(int ms) const {
    pollfd child{children_, POLLIN, 0};
    ::poll(&child, 1, ms);
    signalfd_siginfo info{};
    while (::read(children_, &info, sizeof info) > 0) {
    }
  }

  // Until the agent closes the lifeline. Reaps adopted processes, but not the leader: its id is the group's.
  void watch() {
    for (;;) {
      while (!exited_ && look_for_exit()) {
      }
      std::array<pollfd, 2> fds{{{lifeline_, POLLIN, 0}, {exited_ ? -1 : children_, POLLIN, 0}}};
      const int ms = children_ < 0 && !exited_ ? 20 : -1;  // no descriptor was available for a signalfd: poll instead
      if (::poll(fds.data(), fds.size(), ms) < 0 && errno != EINTR) return;
      if (fds[0].revents != 0) return;
      if (fds[1].revents != 0) wait_for_child(0);
    }
  }

  // Handles one child that has ended; false: none.
  bool look_for_exit() {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return false;
    if (info.si_pid != leader_) {
      ::waitpid(info.si_pid, nullptr, 0);
      return true;
    }
    take_exit(info);
    report_exit();
    return true;
  }

  void take_exit(const siginfo_t& info) {
    exited_ = true;
    exit_.what = What::exited;
    exit_.code = info.si_code;
    exit_.status = info.si_status;
  }

  void report_exit() {
    if (!exited_ || reported_) return;
    reported_ = true;
    tell(exit_);
  }

  // All processes that may be killed end: an orphan becomes our child, and is killed in the next round.
  bool sweep() {
    const auto until = now_ms() + std::chrono::milliseconds(sweep_patience).count();
    for (;;) {
      if (reap_all()) return true;
      kill_children();
      if (now_ms() >= until) return false;
      wait_for_child(20);
    }
  }

  // True: no children are left.
  bool reap_all() {
    for (;;) {
      siginfo_t info{};
      if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0) return errno == ECHILD;
      if (info.si_pid == 0) return false;
      if (info.si_pid == leader_ && !exited_) take_exit(info);
    }
  }

  pid_t leader_;
  int lifeline_;
  int news_;
  int children_ = -1;
  bool exited_ = false;
  bool reported_ = false;
  SupervisorNews exit_;
};

}  // namespace

void supervise(ChildPlan plan, int lifeline, int news) {
  ::setsid();  // not affected by signals to the agent's group and terminal
  ::prctl(PR_SET_NAME, "edgefleet-super");
  ::prctl(PR_SET_DUMPABLE, 0);  // its memory is a copy of the agent's, its descriptors are the run's
  ::prctl(PR_SET_PDEATHSIG, SIGCONT);  // if a command has stopped it, it goes on when the agent ends
  SupervisorNews begun;
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0) {
    const LentOomScore score(plan.oom_score_adj);
    plan.parent = ::getpid();
    // Saves a second copy of the agent's page tables. This process waits meanwhile, and become() does not modify it.
    // NOLINTNEXTLINE(bugprone-unsafe-functions): posix_spawn cannot set the limits and the score that the child needs
    begun.leader = ::vfork();
    if (begun.leader == 0) become(plan);
    if (begun.leader < 0) begun.error = errno;
  } else {
    begun.error = errno;
  }
  if (begun.leader < 0) begun.what = What::not_started;
  [[maybe_unused]] const auto written = ::write(news, &begun, sizeof begun);
  keep_only(lifeline, news);
  if (begun.leader < 0) ::_exit(1);
  Supervisor(begun.leader, lifeline, news).run();
}

}  // namespace edgefleet::agent
