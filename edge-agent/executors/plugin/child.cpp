#include "edge-agent/executors/plugin/child.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/core/counts.hpp"
#include "common/core/utf8.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/executors/process/pipe_io.hpp"
#include "edge-agent/executors/process/spawner.hpp"

namespace edgefleet::agent {
namespace {
constexpr std::size_t most_reason = 300;  // from its last line; the log has the rest

std::string seconds_text(Duration duration) { return std::to_string((to_ms(duration) + 999) / 1000) + " s"; }
}  // namespace

bool LogBudget::take(Time now) {
  left_ = std::min(most, left_ + std::chrono::duration<double>(now - at_).count() * per_second);
  at_ = now;
  if (left_ < 1) {
    ++suppressed_;
    return false;
  }
  left_ -= 1;
  return true;
}

PluginChild::PluginChild(Process process, std::string name, PluginDesk& desk, const PluginTimes& times,
                         const ProcessServices& services)
    : process_(std::move(process)),
      name_(std::move(name)),
      desk_(desk),
      times_(times),
      clock_(services.spawner->groups()),
      log_(services.log),
      at_once_(services.at_once),
      hello_until_(clock_->now() + times.hello) {}

std::string PluginChild::serve(const std::stop_token& stop, const OnHello& on_hello) {
  on_hello_ = on_hello;
  while (!process_.exited() && !must_end()) {
    if (stop.stop_requested()) {
      shut_down();
      break;
    }
    outgoing_ += desk_.take_lines();
    Duration most = std::chrono::minutes(1);
    if (!greeted_) most = std::max<Duration>(hello_until_ - clock_->now(), std::chrono::milliseconds(1));
    if (broken_until_) most = std::min(most, *broken_until_ - monotonic_now());
    exchange(most);
  }
  return bury();
}

bool PluginChild::must_end() {
  if (reason_.empty() && !greeted_ && clock_->now() >= hello_until_) {
    reason_ = "sent no hello within " + seconds_text(times_.hello);
  }
  if (reason_.empty() && broken_until_ && monotonic_now() >= *broken_until_) {
    reason_ = "closed its standard input or output";
  }
  if (reason_.empty() && desk_.to_be_killed()) {
    reason_ = "did not answer a cancel within " + seconds_text(times_.cancel);
  }
  return !reason_.empty();
}

void PluginChild::exchange(Duration most) {
  const bool lines = written_ < outgoing_.size();
  std::array<pollfd, 5> fds{{{desk_.wake().get(), POLLIN, 0},
                             {process_.exit_fd(), POLLIN, 0},
                             {process_.out.get(), POLLIN, 0},
                             {process_.err.get(), POLLIN, 0},
                             {lines ? process_.in.get() : -1, POLLOUT, 0}}};
  poll_for(fds, most);
  if (fds[0].revents != 0) desk_.wake().drain();
  if (fds[2].revents != 0) read_out();
  if (fds[3].revents != 0) read_err();
  if (fds[4].revents != 0) write_lines();
}

// SIGPIPE is blocked in this thread (see PluginExecutor::supervise), so a closed pipe is an error code here.
void PluginChild::write_lines() {
  const auto wrote = ::write(process_.in.get(), outgoing_.data() + written_, outgoing_.size() - written_);
  if (wrote < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (wrote < 0) {
    process_.in.reset();
    if (!broken_until_) broken_until_ = monotonic_now() + times_.broken;
  } else {
    written_ += static_cast<std::size_t>(wrote);
  }
  if (wrote >= 0 && written_ < outgoing_.size()) return;
  std::string().swap(outgoing_);
  written_ = 0;
}

void PluginChild::read_out() {
  out_.set_longest(desk_.longest_line());
  read_some(process_.out,
            [this](std::string_view bytes) { out_.feed(bytes, [this](std::string_view line) { take_line(line); }); });
  if (!process_.out && !broken_until_) broken_until_ = monotonic_now() + times_.broken;
  if (out_.take_overlong() > 0)
    say(Severity::warning, "dropped the part of a line beyond " + show_bytes(out_.longest()));
}

void PluginChild::read_err() {
  read_some(process_.err, [this](std::string_view bytes) {
    err_.feed(bytes, [this](std::string_view line) { take_error_line(line); });
  });
}

void PluginChild::take_line(std::string_view line) {
  if (greeted_) return take_message(line);
  if (!reason_.empty()) return;
  const auto hello = parse_hello(line);
  if (!hello) {
    reason_ = hello.error().message;
    return;
  }
  greeted_ = true;
  on_hello_(*hello);
}

namespace {
struct Deliver {
  PluginDesk& desk;
  template <typename Message>
  bool operator()(Message& message) const {
    return desk.deliver(std::move(message));
  }
};
}  // namespace

void PluginChild::take_message(std::string_view line) {
  auto message = parse_plugin_line(line, out_.longest());
  if (!message) return say(Severity::warning, "ignored a line: " + message.error().message);
  if (!std::visit(Deliver{desk_}, *message))
    say(Severity::debug, "ignored a message about a task that it does not hold");
}

void PluginChild::take_error_line(std::string_view line) {
  if (line.empty()) return;
  last_error_line_ = valid_utf8(line);
  say(Severity::info, last_error_line_);
}

void PluginChild::say(Severity severity, const std::string& text) {
  if (!budget_.take(monotonic_now())) return;
  if (const auto suppressed = budget_.take_suppressed(); suppressed > 0) {
    write_log(log_, Severity::warning, "plug-in " + name_ + ": " + std::to_string(suppressed) + " lines not logged");
  }
  write_log(log_, severity, "plug-in " + name_ + ": " + text);
}

bool PluginChild::wait_for_end(Duration most) {
  const Time until = monotonic_now() + most;
  while (!process_.exited()) {
    const Duration left = until - monotonic_now();
    if (left <= Duration{0} || at_once_.stop_requested()) return false;
    exchange(left);
  }
  return true;
}

void PluginChild::shut_down() {
  reason_ = "was shut down";
  process_.keep_thawed();
  process_.in.reset();
  if (wait_for_end(times_.close)) return;
  process_.terminate();
  wait_for_end(times_.terminate);
}

std::string PluginChild::bury() {
  const bool by_itself = process_.exited();
  const ExitStatus status = process_.finish();
  // Its last output: no more can follow, unless a process outside its group keeps the pipes open.
  for (int chunks = 0; chunks < 64 && (process_.out || process_.err); ++chunks) exchange(Duration{0});
  err_.finish([this](std::string_view line) { take_error_line(line); });
  std::string why = reason_.empty() || by_itself ? "died with " + describe(status) : reason_ + ", and was killed";
  if (by_itself && !reason_.empty()) why = reason_;
  return last_error_line_.empty() ? why : why + ": " + std::string(cut_front(last_error_line_, most_reason));
}

}  // namespace edgefleet::agent
