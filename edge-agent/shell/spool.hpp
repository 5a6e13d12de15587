// Undeliverable results of an agent on its disk, where they survive the agent and a reboot: <task>-<attempt>.json.
// Nothing is written while results can be delivered. The files that they name are in the artifact spool.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::agent {

class ResultSpool {
 public:
  explicit ResultSpool(std::string folder) : folder_(std::move(folder)) {}
  // Results of an earlier run. A file that cannot be read is renamed to *.bad and listed in `complaints`.
  std::vector<TaskResult> load(std::vector<std::string>& complaints) const;
  // On the disk when it returns: all or none. The later of two results of one attempt counts.
  [[nodiscard]] Status keep(const std::vector<TaskResult>& results) const;
  void forget(const AttemptKey& key) const;

 private:
  [[nodiscard]] std::string path_of(const AttemptKey& key) const;
  [[nodiscard]] Status write(const TaskResult& result) const;
  [[nodiscard]] Status publish_all(const std::vector<TaskResult>& results, const std::set<std::string>& paths) const;
  std::string folder_;
};

// Keeps a result whose task the coordinator does not know as a file in `folder` (at most a thousand), for inspection.
// On the disk when it returns. Returns its path.
Result<std::string> keep_for_person(const std::string& folder, const SessionId& session, const TaskResult& result);

}  // namespace edgefleet::agent
