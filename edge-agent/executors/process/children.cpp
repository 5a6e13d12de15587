#include "edge-agent/executors/process/children.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include "common/system/clock.hpp"

namespace edgefleet::agent {
namespace {

constexpr Duration look_interval = std::chrono::milliseconds(20);

// The process id that a folder of /proc is named after; -1: another folder.
pid_t number(const char* name) {
  pid_t pid = 0;
  for (; *name >= '0' && *name <= '9'; ++name) pid = pid * 10 + (*name - '0');
  return *name == '\0' && pid > 1 ? pid : -1;
}

// The parent's id, from /proc/<pid>/stat: "12 (any name) S 1 ...".
pid_t parent_of(int proc, const char* pid) {
  std::array<char, 32> path{};
  constexpr std::string_view file = "/stat";
  const std::string_view folder(pid, std::min(std::strlen(pid), path.size() - file.size() - 1));
  std::copy(file.begin(), file.end(), std::copy(folder.begin(), folder.end(), path.begin()));
  const int fd = ::openat(proc, path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  std::array<char, 256> text{};
  const auto got = ::read(fd, text.data(), text.size());
  ::close(fd);
  const std::string_view stat(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  const auto name_end = stat.rfind(')');
  if (name_end == std::string_view::npos || name_end + 4 >= stat.size()) return -1;
  pid_t parent = 0;
  for (std::size_t i = name_end + 4; i < stat.size() && stat[i] >= '0' && stat[i] <= '9'; ++i) {
    parent = parent * 10 + (stat[i] - '0');
  }
  return parent;
}

std::vector<pid_t> all_children() {
  std::vector<pid_t> all;
  for_each_child([](pid_t child, void* into) { static_cast<std::vector<pid_t>*>(into)->push_back(child); }, &all);
  return all;
}

bool was_stopped(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WSTOPPED | WNOHANG) == 0 && info.si_pid == child;
}

}  // namespace

void for_each_child(void (*use)(pid_t child, void* context), void* context) {
  const int proc = ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return;
  const pid_t self = ::getpid();
  alignas(dirent64) std::array<char, 4096> buffer;  // NOLINT: filled by the kernel
  for (;;) {
    const auto got = ::syscall(SYS_getdents64, proc, buffer.data(), buffer.size());
    if (got <= 0) break;
    for (long at = 0; at < got;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      const pid_t pid = number(entry->d_name);
      if (pid > 0 && parent_of(proc, entry->d_name) == self) use(pid, context);
      at += entry->d_reclen;
    }
  }
  ::close(proc);
}

Patience::Patience(Duration most) : until(monotonic_now() + most) {}

bool wait_for_supervisor(const UniqueFd& fd, pid_t supervisor, Patience& patience) {
  for (;;) {
    pollfd news{fd.get(), POLLIN, 0};
    if (::poll(&news, 1, static_cast<int>(look_interval / std::chrono::milliseconds(1))) == 1) return true;
    if (was_stopped(supervisor) && patience.stops-- <= 0) return false;
    if (monotonic_now() >= patience.until) return false;
    ::kill(supervisor, SIGCONT);
  }
}

Children::Children() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (const pid_t child : all_children()) known_.insert(child);
}

void Children::add_leader(pid_t leader) {
  const std::lock_guard lock(mutex_);
  known_.insert(leader);
}

void Children::remove(pid_t supervisor, pid_t leader) {
  const std::lock_guard lock(mutex_);
  known_.erase(supervisor);
  known_.erase(leader);
}

bool Children::end_orphans(Duration patience) {
  const Time until = monotonic_now() + patience;
  while (!end_present_orphans()) {
    if (monotonic_now() >= until) return false;
    std::this_thread::sleep_for(look_interval);  // an orphan's own children become ours when it has ended
  }
  return true;
}

// True: there are none. A child that was not reaped yet keeps its id, so the signals go to the right processes.
bool Children::end_present_orphans() {
  const std::lock_guard lock(mutex_);
  bool none = true;
  for (const pid_t child : all_children()) {
    if (known_.count(child) > 0) continue;
    none = false;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, WNOHANG);
  }
  return none;
}

}  // namespace edgefleet::agent
