// The writes of one drain: the store commits them in one transaction.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/core/agent.hpp"
#include "coordinator/core/records.hpp"

namespace edgefleet::coordinator {

struct TaskWrite {
  const TaskRecord* record = nullptr;  // valid until commit() has returned
  std::optional<Duration> due_in;      // remaining at Writes::clock
  std::optional<Duration> expires_in;  // remaining at Writes::clock
  bool created = false;  // its spec is not stored yet
};
// The record as the store returns it.
inline TaskRecord kept(const TaskWrite& write) {
  TaskRecord record = *write.record;
  record.due_in = write.due_in;
  record.expires_in = write.expires_in;
  return record;
}

struct Writes {
  std::vector<TaskWrite> tasks;  // in the order of their ids: new rows go to the end of the store's trees
  std::vector<BatchRecord> batches;
  std::vector<std::pair<AgentName, bool>> drained;
  std::vector<TokensUsed> tokens;  // the sums, with those of these tasks
  std::optional<Reign> reign;
  bool released = false;    // no task is held after a restore any longer
  std::size_t revived = 0;  // tasks among these that had ended before
  // The total run time of all coordinators on this store when these writes were made. All stored deadlines use this
  // clock: a jump of the wall clock does not affect it, and time without a coordinator does not count.
  Duration clock{0};
  [[nodiscard]] bool empty() const {
    return tasks.empty() && batches.empty() && drained.empty() && tokens.empty() && !reign && !released;
  }
};

}  // namespace edgefleet::coordinator
