// A child process in a group and session of its own, from its start to the end of its last descendant.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge-agent/executors/process/children.hpp"
#include "edge-agent/executors/process/process_groups.hpp"
#include "edge-agent/executors/process/supervisor.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent {

struct ProcessSpec {
  std::string program;             // absolute path, see find_program
  std::vector<std::string> argv;   // [0] included
  std::map<std::string, std::string> env;  // all of it: nothing is inherited
  std::string cwd;                 // empty: the agent's
  bool pipe_stdin = false;
  int stdin_file = -1;             // borrowed until spawn() returns; used without pipe_stdin; -1: /dev/null
  bool sandboxed = true;           // by the spawner's sandbox, if it has one
  std::string own_folder;          // that it may use although the sandbox hides it; empty: none
  int oom_score_adj = 1000;        // the first victim when memory runs out, so that it is not the agent
};

struct ExitStatus {
  std::optional<int> code;
  int signal = 0;  // if there is no code
  bool left = false;  // a descendant could not be killed and still runs
};
std::string signal_name(int signal);            // "SIGKILL"; a number if it has no name
std::string describe(const ExitStatus& status);  // "exit code 3", "signal SIGKILL"

class Process {
 public:
  // The connection to its supervisor (supervisor.hpp).
  struct Hold {
    pid_t supervisor = -1;
    pid_t leader = -1;  // also the group's
    UniqueFd news;
    UniqueFd lifeline;
    UniqueFd leader_end;  // a pidfd; none: not supported here
    UniqueFd end;  // an epoll: readable once the leader has ended, or the supervisor has reported that or ended
  };
  Process(std::shared_ptr<ProcessGroups> groups, std::shared_ptr<Children> children, Hold hold, UniqueFd in,
          UniqueFd out, UniqueFd err);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();  // finishes it

  // Our ends of its pipes, non-blocking. They may be closed at any time.
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;

  [[nodiscard]] int exit_fd() const { return hold_.end.get(); }  // readable once the child itself has exited
  [[nodiscard]] bool exited() const;
  void keep_thawed();  // from now on, freezes do not affect it
  void terminate();  // SIGTERM to the group
  void kill();  // SIGKILL to the group
  // Kills the child and all its descendants, inside or outside its group, and waits for their end, at most some
  // seconds longer than `sweep_patience`, whatever they do to the supervisor.
  ExitStatus finish();

 private:
  void signal_group(int signal) const;
  bool hear_until_swept();
  void take(const SupervisorNews& news);

  std::shared_ptr<ProcessGroups> groups_;
  std::shared_ptr<Children> children_;
  Hold hold_;  // supervisor -1 once finished
  ExitStatus status_;
};

}  // namespace edgefleet::agent
