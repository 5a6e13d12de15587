// A child process in a group and session of its own, from its start to its last descendant.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  int oom_score_adj = 1000;        // the first victim when memory runs out, so that it is not the agent
};

struct ExitStatus {
  std::optional<int> code;
  int signal = 0;  // when there is no code
  bool left = false;  // something that it had started could not be killed, and runs on
};
std::string signal_name(int signal);            // "SIGKILL"; a number where there is no name
std::string describe(const ExitStatus& status);  // "exit code 3", "signal SIGKILL"

class Process {
 public:
  // How it is held (supervisor.hpp).
  struct Hold {
    pid_t supervisor = -1;
    pid_t leader = -1;  // also the group's
    UniqueFd news;
    UniqueFd lifeline;
  };
  Process(std::shared_ptr<ProcessGroups> groups, Hold hold, UniqueFd in, UniqueFd out, UniqueFd err);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();  // finishes it

  // Our ends of its pipes, not blocking. Close them at will.
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;

  [[nodiscard]] int exit_fd() const { return hold_.news.get(); }  // readable once the child itself has exited
  [[nodiscard]] bool exited() const;
  void keep_thawed();  // no freeze stops it from now on
  void terminate();    // SIGTERM to the group
  void kill();         // SIGKILL to the group
  // Kills what is left, the child included, in its group or out of it, and waits until it is gone.
  ExitStatus finish();

 private:
  void signal_group(int signal) const;
  void take(const SupervisorNews& news);

  std::shared_ptr<ProcessGroups> groups_;
  Hold hold_;  // supervisor -1 once finished
  ExitStatus status_;
};

}  // namespace edgefleet::agent
