// The store of the coordinator. One thread writes (the loop); any thread reads. What every implementation must do is
// checked by tests/unit/coordinator/store/contract_*_test.cpp. Texts are kept byte for byte, U+0000 included.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "coordinator/core/writes.hpp"

namespace edgefleet::coordinator {

// Limits for keeping tasks with an outcome: the first one reached applies.
struct Retention {
  Duration keep = std::chrono::hours(24 * 7);  // on the store's clock
  std::size_t most = 100'000;
  std::uint64_t bytes = std::uint64_t{1024} << 20U;  // of inputs, outputs and the other texts of these tasks
};
struct Purged {
  std::size_t tasks = 0;
  bool more = false;  // there may be more
};

struct TaskQuery {
  std::optional<TaskState> state;
  std::optional<Capability> capability;
  std::optional<BatchId> batch;
  std::string submitter;  // empty: of all
  std::optional<TaskId> before;  // newest first, starting after this one
  std::size_t limit = 50;
};

// Queries; each one sees everything that has been committed.
class Reads {
 public:
  Reads() = default;
  Reads(const Reads&) = delete;
  Reads& operator=(const Reads&) = delete;
  Reads(Reads&&) = delete;
  Reads& operator=(Reads&&) = delete;
  virtual ~Reads() = default;

  virtual Result<std::optional<TaskRecord>> task(const TaskId& id) = 0;
  // Newest id first; input "null", no output.
  virtual Result<std::vector<TaskRecord>> tasks(const TaskQuery& query) = 0;
  virtual Result<std::optional<BatchRecord>> batch(const BatchId& id) = 0;
  virtual Result<std::array<std::size_t, task_state_count>> batch_counts(const BatchRecord& batch) = 0;
  virtual Result<std::vector<TaskId>> batch_tasks(const BatchRecord& batch) = 0;  // in the order of the batch
  virtual Result<std::optional<TaskRecord>> task_by_key(const std::string& submitter, const std::string& key) = 0;
  virtual Result<std::optional<BatchRecord>> batch_by_key(const std::string& submitter, const std::string& key) = 0;
  virtual Result<bool> artifact_named(const std::string& artifact) = 0;  // by a stored task
  virtual Result<bool> artifact_named_by(const std::string& artifact, const std::string& submitter) = 0;  // by its task
  virtual Result<bool> artifact_named_in(const std::string& artifact, const std::vector<TaskId>& tasks) = 0;  // by one
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
  // Atomic, and on the disk when it returns. After a failure the same writes may be tried again. Empty writes change
  // nothing, not even the clock.
  virtual Status commit(const Writes& writes) = 0;
  // Advances the clock and nothing else.
  virtual Status keep_time(Duration clock) = 0;
  // Removes ended tasks beyond the retention, the oldest first, `most` at a time; a batch is removed with its last
  // task. Writes nothing if there are none. Works on a full disk: space is kept for it.
  virtual Result<Purged> purge(const Retention& retention, Duration clock, std::size_t most) = 0;
  // Bytes that removed tasks have left inside the store: new tasks use them before it takes more of the disk.
  virtual Result<std::uint64_t> reusable() = 0;
  virtual Result<Reign> reign() = 0;  // the last one; its session is empty if the store had none yet
  virtual Result<std::string> identity() = 0;  // of this store; a restored backup has another one
  virtual Result<Duration> clock() = 0;
  virtual Result<std::vector<TaskId>> held() = 0;  // unfinished tasks held since a restore, not released yet
  virtual Result<std::vector<AgentName>> drained_agents() = 0;
  virtual Result<std::vector<TokensUsed>> tokens_used() = 0;  // of the days that are kept, oldest first
  // In the order of their ids, in parts, so that a million records are not in memory twice.
  virtual Result<std::vector<TaskRecord>> unfinished(const TaskId& after, std::size_t limit) = 0;
  virtual Reads& reads() = 0;  // does not wait for other threads

  // ---- any thread
  // There are few: waits while all are in use. Keep one for a single query.
  virtual std::shared_ptr<Reads> reader() = 0;
};

}  // namespace edgefleet::coordinator
