#include "tests/unit/edge-agent/plugins/image/plugin_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <utility>

#include "tests/support/catch.hpp"

namespace edgefleet::image::test {
namespace {

constexpr int kPatience = 10'000;  // ms

bool readable(int fd) {
  pollfd end{fd, POLLIN, 0};
  return poll(&end, 1, kPatience) == 1;
}

}  // namespace

PluginProcess::PluginProcess(std::vector<std::string> argv) {
  std::array<int, 2> to{};
  std::array<int, 2> from{};
  REQUIRE(pipe2(to.data(), O_CLOEXEC) == 0);
  REQUIRE(pipe2(from.data(), O_CLOEXEC) == 0);
  std::vector<char*> arguments;
  for (auto& argument : argv) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  in_ = to[1];
  out_ = from[0];
  signal(SIGPIPE, SIG_IGN);
}

PluginProcess::~PluginProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close_stdin();
  close(out_);
}

void PluginProcess::send_bytes(const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const auto written = write(in_, bytes.data() + sent, bytes.size() - sent);
    REQUIRE(written > 0);
    sent += static_cast<std::size_t>(written);
  }
}

nlohmann::json PluginProcess::next() {
  while (pending_.find('\n') == std::string::npos) {
    REQUIRE(readable(out_));
    std::array<char, 4096> buffer{};
    const auto got = read(out_, buffer.data(), buffer.size());
    REQUIRE(got > 0);
    pending_.append(buffer.data(), static_cast<std::size_t>(got));
  }
  const auto end = pending_.find('\n');
  auto message = nlohmann::json::parse(pending_.substr(0, end));
  pending_.erase(0, end + 1);
  return message;
}

nlohmann::json PluginProcess::next_of(const std::string& type) {
  auto message = next();
  while (message["type"] != type) message = next();
  return message;
}

void PluginProcess::close_stdin() {
  if (in_ >= 0) close(std::exchange(in_, -1));
}

int PluginProcess::wait_for_exit() {
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  REQUIRE(process >= 0);
  const bool ended = readable(process);
  close(process);
  REQUIRE(ended);
  int status = 0;
  REQUIRE(waitpid(pid_, &status, 0) == std::exchange(pid_, -1));
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

std::vector<pid_t> PluginProcess::children() const {
  const std::string pid = std::to_string(pid_);
  std::ifstream file("/proc/" + pid + "/task/" + pid + "/children");
  return {std::istream_iterator<pid_t>(file), {}};
}

void PluginProcess::bound_address_space(std::uint64_t bytes) const {
  std::uint64_t pages = 0;
  std::ifstream("/proc/" + std::to_string(pid_) + "/statm") >> pages;
  const rlim_t most = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) + bytes;
  const rlimit bound{most, most};
  REQUIRE(prlimit(pid_, RLIMIT_AS, &bound, nullptr) == 0);
}

double PluginProcess::address_space_bound() const {
  rlimit bound{};
  REQUIRE(prlimit(pid_, RLIMIT_AS, nullptr, &bound) == 0);
  REQUIRE(bound.rlim_max != RLIM_INFINITY);
  return static_cast<double>(bound.rlim_max);
}

}  // namespace edgefleet::image::test
