// What the coordinator needs of its store. One thread writes (the loop); any thread reads.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "coordinator/core/writes.hpp"

namespace edgefleet::coordinator {

// How long tasks with an outcome are kept: whichever is over first.
struct Retention {
  Duration keep = std::chrono::hours(24 * 7);  // on the store's clock
  std::size_t most = 100'000;
};
struct Purged {
  std::size_t tasks = 0;
  bool more = false;  // there may be
};

struct TaskQuery {
  std::optional<TaskState> state;
  std::optional<Capability> capability;
  std::optional<BatchId> batch;
  std::optional<TaskId> before;  // newest first, from here on
  std::size_t limit = 50;
};

// What may be asked; each look sees what is committed by then.
class Reads {
 public:
  Reads() = default;
  Reads(const Reads&) = delete;
  Reads& operator=(const Reads&) = delete;
  Reads(Reads&&) = delete;
  Reads& operator=(Reads&&) = delete;
  virtual ~Reads() = default;

  virtual Result<std::optional<TaskRecord>> task(const TaskId& id) = 0;
  virtual Result<std::vector<TaskRecord>> tasks(const TaskQuery& query) = 0;  // without input and output
  virtual Result<std::optional<BatchRecord>> batch(const BatchId& id) = 0;
  virtual Result<std::array<std::size_t, task_state_count>> batch_counts(const BatchRecord& batch) = 0;
  virtual Result<std::optional<TaskRecord>> task_by_key(const std::string& submitter, const std::string& key) = 0;
  virtual Result<std::optional<BatchRecord>> batch_by_key(const std::string& submitter, const std::string& key) = 0;
  virtual Result<bool> artifact_named(const std::string& artifact) = 0;  // by a task that is kept
};

class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  Store(Store&&) = delete;
  Store& operator=(Store&&) = delete;
  virtual ~Store() = default;

  // ---- the loop's thread
  // All or nothing, and on the disk when it returns. After a failure the same writes may be tried again.
  virtual Status commit(const Writes& writes) = 0;
  // Advances the clock and nothing else.
  virtual Status keep_time(Duration clock) = 0;
  // Removes ended tasks that the retention lets go, the oldest first, `most` at a time; with the last task of a batch
  // the batch. Writes nothing if there are none.
  virtual Result<Purged> purge(const Retention& retention, Duration clock, std::size_t most) = 0;
  virtual Result<std::uint64_t> epoch() = 0;
  virtual Result<Duration> clock() = 0;
  virtual Result<std::vector<TaskId>> held() = 0;  // unfinished since a restore, not released yet
  virtual Result<std::vector<AgentName>> drained_agents() = 0;
  // In the order of their ids, a part at a time: a million records need not lie here twice.
  virtual Result<std::vector<TaskRecord>> unfinished(const TaskId& after, std::size_t limit) = 0;
  virtual Reads& reads() = 0;  // waits for nobody

  // ---- any thread
  // Few at a time: waits while all are lent. Keep it for one look.
  virtual std::shared_ptr<Reads> reader() = 0;
};

}  // namespace edgefleet::coordinator
