#include "edge-agent/executors/process/child.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "edge-agent/executors/process/landlock.hpp"
#include "edge-agent/executors/process/system_calls.hpp"

namespace edgefleet::agent {
namespace {

[[noreturn]] void fail(const ChildPlan& plan, ChildStep step) {
  const ChildFailure failure{step, errno};
  [[maybe_unused]] const auto written = ::write(plan.report, &failure, sizeof failure);
  ::_exit(127);
}

// Ignored signals and the mask survive an exec; a handler of the agent must not run in the child.
void reset_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &action, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Libraries of the agent may have opened sockets and files without O_CLOEXEC.
void keep_only_stdio() {
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  rlimit files{};
  const rlim_t most = ::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 65536 ? files.rlim_cur : 65536;
  for (int fd = 3; fd < static_cast<int>(most); ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

}  // namespace

void become(const ChildPlan& plan) {
  // A session is also a group, without a terminal: no process of it can wait for a password there.
  if (::setsid() < 0) fail(plan, ChildStep::session);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail(plan, ChildStep::die_with_parent);
  if (::getppid() != plan.parent) ::_exit(127);  // the supervisor died before the line above
  if (plan.umask >= 0) ::umask(static_cast<mode_t>(plan.umask));
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (plan.cwd != nullptr && ::chdir(plan.cwd) != 0) fail(plan, ChildStep::directory);
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup2(plan.stdio[fd], fd) < 0) fail(plan, ChildStep::stdio);
  }
  keep_only_stdio();
  reset_signals();
  const bool restricted = plan.ruleset < 0 || (landlock::restrict_self(plan.ruleset) && leave_other_processes_alone());
  if (!restricted) fail(plan, ChildStep::sandbox);
  ::execve(plan.program, plan.argv, plan.env);
  fail(plan, ChildStep::exec);
}

}  // namespace edgefleet::agent
