#include "edge-agent/executors/command/run.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <stop_token>

#include "common/system/clock.hpp"
#include "edge-agent/executors/process/pipe_io.hpp"

namespace edgefleet::agent {

CommandRun::CommandRun(Process process, RunLimit& limit, ProcessGraces graces, BoundedOutput& out, BoundedOutput& err)
    : process_(std::move(process)), limit_(limit), graces_(graces), out_(out), err_(err) {}

CommandEnd CommandRun::drive() {
  const std::stop_callback wake(limit_.stop(), [this] { wake_.signal(); });
  keep_deadlines();
  while (!exited_ || !drained()) {
    wait_for_events();
    if (given_up_) break;
    keep_deadlines();
  }
  return {why_, process_.finish()};
}

void CommandRun::begin_to_end() {
  if (why_ != CommandEnd::Why::exited || exited_ || !limit_.over()) return;
  why_ = limit_.stopped() ? CommandEnd::Why::stopped : CommandEnd::Why::timed_out;
  process_.terminate();
  kill_at_ = monotonic_now() + graces_.terminate;
}

void CommandRun::keep_deadlines() {
  begin_to_end();
  const Time now = monotonic_now();
  if (kill_at_ && now >= *kill_at_) {
    process_.kill();
    kill_at_.reset();
    give_up_at_ = now + graces_.kill;
  }
  if (!exited_ && process_.exited()) {
    exited_ = true;
    give_up_at_ = now + graces_.pipes;
  }
  if (give_up_at_ && now >= *give_up_at_) {
    process_.kill();
    given_up_ = true;  // the output of the group is in the pipes, and is read once more
  }
}

void CommandRun::wait_for_events() {
  const int exit_fd = exited_ ? -1 : process_.exit_fd();
  std::array<pollfd, 4> fds{{{wake_.get(), POLLIN, 0},
                             {exit_fd, POLLIN, 0},
                             {process_.out.get(), POLLIN, 0},
                             {process_.err.get(), POLLIN, 0}}};
  poll_for(fds, given_up_ ? Duration{0} : until_next_deadline());
  if (fds[0].revents != 0) wake_.drain();
  if (fds[2].revents != 0) read_some(process_.out, [this](std::string_view bytes) { out_.append(bytes); });
  if (fds[3].revents != 0) read_some(process_.err, [this](std::string_view bytes) { err_.append(bytes); });
}

Duration CommandRun::until_next_deadline() const {
  Duration left = why_ == CommandEnd::Why::exited && !exited_ ? limit_.left() : Duration::max();
  for (const auto& deadline : {kill_at_, give_up_at_}) {
    if (deadline) left = std::min(left, *deadline - monotonic_now());
  }
  return left;
}

}  // namespace edgefleet::agent
