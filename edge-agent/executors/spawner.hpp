// Starts child processes for all executors of an agent. A child is killed when the thread that forked it ends
// (PR_SET_PDEATHSIG is about threads), so one thread forks them all, and the spawner must outlive every executor: hand
// it on as a shared_ptr.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "common/core/result.hpp"
#include "edge-agent/executors/child.hpp"
#include "edge-agent/executors/process.hpp"

namespace edgefleet::agent {

class Spawner {
 public:
  Spawner();
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;
  Spawner(Spawner&&) = delete;
  Spawner& operator=(Spawner&&) = delete;
  ~Spawner();

  // From any thread. Waits until the child is the program, or could not become it.
  Result<Process> spawn(const ProcessSpec& spec);
  // Heat, and the clock that timeouts run on.
  [[nodiscard]] const std::shared_ptr<ProcessGroups>& groups() const { return groups_; }

 private:
  struct Request {
    ChildPlan plan;
    pid_t pid = -1;
    int error = 0;
    bool done = false;
  };
  void serve(const std::stop_token& stop);
  void fork_on_thread(Request& request);

  std::shared_ptr<ProcessGroups> groups_ = std::make_shared<ProcessGroups>();
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Request*> requests_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace edgefleet::agent
