#include "edge-agent/plugins/image/worker.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <utility>

#include "common/core/error_text.hpp"

namespace edgefleet::image {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr auto kProgressEvery = std::chrono::milliseconds(500);

std::string line_of(const json& message) { return message.dump(-1, ' ', false, json::error_handler_t::replace) + '\n'; }

json report_of(const std::variant<json, Failure>& outcome) {
  if (const auto* output = std::get_if<json>(&outcome)) return {{"output", *output}};
  const auto& failure = std::get<Failure>(outcome);
  return {{"code", failure.code}, {"message", failure.message}, {"retryable", failure.retryable}};
}

// A progressive JPEG in four bands is held twice, in coefficients of 16 bits and as a picture: 12 bytes for each pixel.
// Some more for the lines and tiles that the filters hold.
constexpr std::uint64_t kBytesOfPixel = 16;
constexpr std::uint64_t kBesides = 256U << 20U;

std::uint64_t address_space() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// If memory runs out, this process is killed before the plug-in and other programs of the device.
void volunteer_for_the_oom_killer() { std::ofstream("/proc/self/oom_score_adj") << 1000; }

// A decoder has no access to the agent's lines or the pipes of other tasks: standard streams and its own pipe remain.
int close_all_but(int fd) {
  constexpr int own = STDERR_FILENO + 1;
  if (fd != own) dup2(fd, own);
  close_range(own + 1, ~0U, 0);
  close(STDIN_FILENO);
  open("/dev/null", O_RDONLY);
  return own;
}

[[noreturn]] void work(pid_t plugin, int pipe_end, const Request& request, const Limits& limits) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plugin) _exit(1);  // it died before the line above
  const int fd = close_all_but(pipe_end);
  volunteer_for_the_oom_killer();
  auto last = Clock::now();
  const auto on_progress = [&](int percent, std::string_view text) {
    if (Clock::now() - last < kProgressEvery) return;
    last = Clock::now();
    write_all(fd, line_of({{"percent", percent}, {"text", text}}));
  };
  write_all(fd, line_of(report_of(process(request, limits, on_progress))));
  _exit(0);  // no destructors: they belong to the plug-in
}

Failure crashed(int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
    return {"killed", "the process was killed, most likely because memory ran out", true};
  }
  const std::string how = WIFSIGNALED(status) ? std::string("signal ") + std::to_string(WTERMSIG(status))
                                              : "exit code " + std::to_string(WEXITSTATUS(status));
  return {"crashed", "the picture crashed its decoder (" + how + ")", false};
}

}  // namespace

Status bound_memory(const Limits& limits) {
  const auto most = address_space() + kBesides + static_cast<std::uint64_t>(limits.most_pixels) * kBytesOfPixel;
  rlimit bound{};
  if (getrlimit(RLIMIT_AS, &bound) == 0 && bound.rlim_max > most) {
    bound = {most, most};
    if (setrlimit(RLIMIT_AS, &bound) == 0) return success();
    return Error{"limiting memory: " + error_text(errno)};
  }
  return success();  // the bound of the service that runs the agent is tighter
}

Result<Worker> Worker::start(TaskKey key, const Request& request, const Limits& limits) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Error{"making a pipe: " + error_text(errno)};
  const pid_t plugin = getpid();
  const pid_t pid = fork();
  if (pid == 0) work(plugin, ends[1], request, limits);
  const int problem = errno;
  close(ends[1]);
  if (pid > 0) return Worker(std::move(key), pid, ends[0]);
  close(ends[0]);
  return Error{"starting a process: " + error_text(problem)};
}

Worker::Worker(Worker&& other) noexcept { *this = std::move(other); }

Worker& Worker::operator=(Worker&& other) noexcept {
  std::swap(key_, other.key_);
  std::swap(pid_, other.pid_);
  std::swap(fd_, other.fd_);
  std::swap(cancelled_, other.cancelled_);
  std::swap(lines_, other.lines_);
  std::swap(outcome_, other.outcome_);
  return *this;
}

Worker::~Worker() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    reap();
  }
  if (fd_ >= 0) close(fd_);
}

bool Worker::read(const OnProgress& on_progress) {
  std::array<char, 16 * 1024> buffer{};
  const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return false;
  if (got <= 0) return true;
  lines_.feed({buffer.data(), static_cast<std::size_t>(got)},
              [&](std::string_view line) { on_line(line, on_progress); });
  return false;
}

void Worker::on_line(std::string_view line, const OnProgress& on_progress) {
  const json report = json::parse(line, nullptr, false);
  if (!report.is_object() || cancelled_) return;
  if (report.contains("percent")) return on_progress({report.value("percent", 0), report.value("text", "")});
  if (report.contains("output")) {
    outcome_ = report["output"];
  } else {
    outcome_ = Failure{report.value("code", "internal"), report.value("message", ""), report.value("retryable", false)};
  }
}

void Worker::cancel() {
  cancelled_ = true;
  kill(pid_, SIGKILL);
}

std::variant<json, Failure> Worker::take_outcome() {
  const int status = reap();
  if (outcome_) return *std::move(outcome_);
  if (cancelled_) return Failure{"cancelled", "cancelled", false};
  return crashed(status);
}

int Worker::reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace edgefleet::image
