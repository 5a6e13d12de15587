#include "edge-agent/sensors/bounded_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>
#include <utility>

#include "common/system/clock.hpp"

namespace edgefleet::agent {
namespace {

constexpr std::size_t most_bytes = 64 * 1024;
constexpr auto slice = std::chrono::milliseconds(50);  // between two looks at the stop token
constexpr int patience = 20;                           // slices for the end after the output, or after SIGKILL

// -1: it cannot be started. Its output goes to `out`, its input and errors to nowhere; it gets no blocked signal.
int start(const std::vector<std::string>& command, int out) {
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));  // NOLINT: exec's own shape
  arguments.push_back(nullptr);
  std::array<char*, 2> environment{const_cast<char*>("LC_ALL=C"), nullptr};  // NOLINT: as above
  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  sigset_t none{};
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  int pid = -1;
  const int failure = posix_spawn(&pid, arguments.front(), &files, &attributes, arguments.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return failure == 0 ? pid : -1;
}

// True: its output has ended in time.
bool read_all(int fd, std::string& text, Time until, const std::stop_token& stop) {
  std::array<char, 4096> buffer{};
  while (!stop.stop_requested() && monotonic_now() < until) {
    pollfd readable{fd, POLLIN, 0};
    if (poll(&readable, 1, static_cast<int>(slice.count())) <= 0) continue;
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got == 0) return true;
    if (got < 0 && errno != EINTR) return false;
    if (got > 0 && text.size() < most_bytes) text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return false;
}

}  // namespace

BoundedCommand::~BoundedCommand() {
  reap();
  if (process_ >= 0) close(process_);
}

// Somebody else may have reaped it: the agent ends processes that it did not start for a task.
bool BoundedCommand::reap() {
  if (process_ < 0) return true;
  siginfo_t info{};
  const int result = waitid(P_PIDFD, static_cast<id_t>(process_), &info, WEXITED | WNOHANG);
  if (result == 0 && info.si_pid == 0) return false;
  if (result != 0 && errno == EINTR) return false;
  succeeded_ = result == 0 && info.si_code == CLD_EXITED && info.si_status == 0;
  close(std::exchange(process_, -1));
  return true;
}

void BoundedCommand::end() { syscall(SYS_pidfd_send_signal, process_, SIGKILL, nullptr, 0); }

std::optional<std::string> BoundedCommand::run(const std::vector<std::string>& command, Duration longest,
                                               const std::stop_token& stop) {
  if (command.empty() || !reap()) return std::nullopt;
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  const int pid = start(command, ends[1]);
  close(ends[1]);
  process_ = pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, pid, 0)) : -1;
  std::string text;
  const bool complete = process_ >= 0 && read_all(ends[0], text, monotonic_now() + longest, stop);
  close(ends[0]);
  if (process_ < 0) return std::nullopt;
  if (!complete) end();
  for (int i = 0; i < patience && !reap(); ++i) std::this_thread::sleep_for(slice);
  const bool ended = process_ < 0;
  if (!ended) end();  // it has closed its output, and runs on
  return complete && ended && succeeded_ ? std::optional(text.substr(0, most_bytes)) : std::nullopt;
}

}  // namespace edgefleet::agent
