// Runs a program of the system for its output, for a bounded time. Not for tasks: those have the spawner.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/core/time.hpp"

namespace edgefleet::agent {

class BoundedCommand {
 public:
  BoundedCommand() = default;
  BoundedCommand(const BoundedCommand&) = delete;
  BoundedCommand& operator=(const BoundedCommand&) = delete;
  BoundedCommand(BoundedCommand&&) = delete;
  BoundedCommand& operator=(BoundedCommand&&) = delete;
  ~BoundedCommand();

  // Blocks for at most `longest`, and ends soon after a stop request. Returns the first `most_bytes` of its standard
  // output; none: it cannot be started, failed, or took too long. A process that does not even end on SIGKILL (its
  // driver hangs) is not waited for, and no other one is started until it has ended.
  std::optional<std::string> run(const std::vector<std::string>& command, Duration longest,
                                 const std::stop_token& stop);

 private:
  bool reap();  // true: no process is left
  void end();

  int process_ = -1;  // its pidfd, which never means another process; -1: none
  bool succeeded_ = false;  // the last process that was reaped
};

}  // namespace edgefleet::agent
