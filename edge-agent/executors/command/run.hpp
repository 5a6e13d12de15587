// Runs one process from start to end: drains its pipes, enforces its timeout, ends its group.
#pragma once

#include "edge-agent/executors/process/bounded_output.hpp"
#include "edge-agent/executors/process/process.hpp"
#include "edge-agent/executors/process/run_limit.hpp"

namespace edgefleet::agent {

// Time limits once a process must end, or has ended. Tests shorten them.
struct ProcessGraces {
  Duration terminate = std::chrono::seconds(3);  // between SIGTERM and SIGKILL
  Duration kill = std::chrono::seconds(1);       // between SIGKILL and no longer waiting for its exit
  Duration pipes = std::chrono::seconds(1);      // for descendants that hold the pipes of a process that has exited
};

struct CommandEnd {
  enum class Why { exited, stopped, timed_out };
  Why why = Why::exited;
  ExitStatus status;
};

// Blocks until the process and its group have ended.
class CommandRun {
 public:
  CommandRun(Process process, RunLimit& limit, ProcessGraces graces, BoundedOutput& out, BoundedOutput& err);
  CommandEnd drive();

 private:
  void begin_to_end();
  void keep_deadlines();
  void wait_for_events();
  [[nodiscard]] Duration until_next_deadline() const;
  [[nodiscard]] bool drained() const { return !process_.out && !process_.err; }

  Process process_;
  RunLimit& limit_;
  ProcessGraces graces_;
  BoundedOutput& out_;
  BoundedOutput& err_;
  WakeFd wake_;
  CommandEnd::Why why_ = CommandEnd::Why::exited;
  bool exited_ = false;
  bool given_up_ = false;          // on pipes that a process outside the group keeps open, or on its exit
  std::optional<Time> kill_at_;    // after SIGTERM
  std::optional<Time> give_up_at_;  // after SIGKILL, or after the exit
};

}  // namespace edgefleet::agent
