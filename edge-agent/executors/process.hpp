// A child process in a group and session of its own, from its start to its last descendant in that group.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge-agent/executors/process_groups.hpp"
#include "edge-agent/executors/unique_fd.hpp"

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
};
std::string signal_name(int signal);            // "SIGKILL"; a number where there is no name
std::string describe(const ExitStatus& status);  // "exit code 3", "signal SIGKILL"

class Process {
 public:
  Process(std::shared_ptr<ProcessGroups> groups, pid_t pid, UniqueFd exit_fd, UniqueFd in, UniqueFd out, UniqueFd err);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();  // finishes it

  // Our ends of its pipes, not blocking. Close them at will.
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;

  [[nodiscard]] int exit_fd() const { return exit_fd_.get(); }  // readable once the child itself has exited
  [[nodiscard]] bool exited() const;
  void keep_thawed();  // no freeze stops it from now on
  void terminate();    // SIGTERM to the group
  void kill();         // SIGKILL to the group
  // Kills what is left of the group, the child included, and reaps it.
  ExitStatus finish();

 private:
  std::shared_ptr<ProcessGroups> groups_;
  pid_t pid_ = -1;  // also the group's; -1 once reaped
  UniqueFd exit_fd_;
  ExitStatus status_;
};

}  // namespace edgefleet::agent
