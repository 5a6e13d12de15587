// What one drain must make durable: the store commits it in one transaction.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/core/event.hpp"

namespace edgefleet::coordinator {

struct TaskWrite {
  const TaskRecord* record = nullptr;  // lives until commit() has returned
  std::optional<Duration> due_in;      // remaining at Writes::clock
  std::optional<Duration> expires_in;  // the same
  bool created = false;  // its spec is not there yet
};
// The record as the store gives it back.
inline TaskRecord kept(const TaskWrite& write) {
  TaskRecord record = *write.record;
  record.due_in = write.due_in;
  record.expires_in = write.expires_in;
  return record;
}

struct BatchRecord {
  BatchId id;
  std::string submitter;
  std::string idempotency_key;
  std::string fingerprint;  // of what was submitted, to tell a repetition from another batch
  // Tasks of a batch are made together, so their ids are a range.
  TaskId first;
  TaskId last;
  std::size_t total = 0;
};

// Everything that one drain of the loop changed.
struct Writes {
  std::vector<TaskWrite> tasks;  // in the order of their ids: new rows go to the end of the store's trees
  std::vector<BatchRecord> batches;
  std::vector<std::pair<AgentName, bool>> drained;
  std::optional<std::uint64_t> epoch;
  bool released = false;    // nothing is held after a restore any more
  std::size_t revived = 0;  // tasks among these that had ended before
  // How long coordinators have run on this store, all lives together, when these writes were made. It is the clock of
  // everything that the store keeps for later: a jump of the wall clock changes nothing, time without a coordinator
  // does not count.
  Duration clock{0};
  [[nodiscard]] bool empty() const {
    return tasks.empty() && batches.empty() && drained.empty() && !epoch && !released;
  }
};

}  // namespace edgefleet::coordinator
