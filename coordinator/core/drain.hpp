// One drain: takes events, and returns the writes to commit, then the effects to carry out and the changes. Pure: the
// program's loop and the simulation share it.
//
//   collecting: step()* place() --close()--> closed --committed()--> collecting
//
// While it is closed, no event may be stepped, because nothing may depend on a state that is not durable yet. The same
// Writes may be tried again until they succeed; a crash in between is a crash before the commit or right after it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "coordinator/core/changes.hpp"
#include "coordinator/core/step.hpp"
#include "coordinator/core/writes.hpp"

namespace edgefleet::coordinator {

// The earlier use of a submitter's idempotency key.
struct KeyUse {
  std::vector<TaskId> tasks;
  const TaskSpec* spec = nullptr;  // of the task; null: it was a batch
  std::optional<BatchId> batch;
  std::string fingerprint;  // of the batch
};
// The key of a batch, or of a single task; empty: none.
const std::string& key_of(const SubmitTasks& submit);
// The same acceptance if the submit is a repetition, otherwise a conflict.
Result<Accepted> repeat(const SubmitTasks& submit, const KeyUse& earlier);

TaskWrite write_of(const Task& task, Time now, bool created);

class Drain {
 public:
  using Immediates = std::vector<Immediate>;
  struct AfterCommit {
    std::vector<Deferred>
        effects;  // messages with tasks first: an agent can begin while the submitter still reads its answer
    Changes changes;
  };

  explicit Drain(State& state) : state_(state) {}
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;
  Drain(Drain&&) = delete;
  Drain& operator=(Drain&&) = delete;
  ~Drain() = default;

  // The store has the keys of earlier drains: look there before a SubmitTasks is stepped. A key that was first used in
  // this drain is answered here, in the same commit. Throws std::logic_error while the drain is closed.
  [[nodiscard]] Immediates step(const Event& event, Now now);
  // The acceptance of a request in this drain; null: none. It is not durable yet.
  [[nodiscard]] const Accepted* accepted(RequestId request) const;
  // The last steps of a drain: expired deadlines, then placement.
  [[nodiscard]] Immediates place(Now now);

  // `clock`: the store's. The Writes point into the state and are valid until committed() or reopen().
  const Writes& close(Time now, Duration clock);
  // The commit failed: it will be tried again together with the next events.
  void reopen();
  // The Writes are durable. While `perform(const AfterCommit&)` runs, the ended tasks are still in the state; then
  // exactly those that were written are removed. Events that `perform` steps belong to the next drain.
  template <typename Perform>
  void committed(Now now, Perform perform) {
    std::vector<TaskId> ended;
    const AfterCommit after = take(ended);
    perform(after);
    forget(std::move(ended), now);
  }

 private:
  struct Touched {
    bool created = false;
    bool revived = false;
  };
  using SubmitterAndKey = std::pair<std::string, std::string>;

  bool answer_by_key(const SubmitTasks& submit);
  void remember_key(const SubmitTasks& submit, const Effects& effects);
  void sort(Effect& effect, Immediates& immediates);
  void change_agent(const AgentChanged& change);
  AfterCommit take(std::vector<TaskId>& ended);
  void add_changes(Changes& changes);
  void forget(std::vector<TaskId> ended, Now now);

  State& state_;
  bool closed_ = false;
  std::unordered_map<TaskId, Touched> touched_;
  Writes writes_;
  std::vector<Deferred> effects_;
  std::map<SubmitterAndKey, KeyUse> keys_;  // first used in this drain
  std::set<std::pair<std::string, std::int64_t>> counted_;  // clients and days
  std::vector<BatchId> ended_batches_;
  std::map<AgentName, AgentChanged> agents_;
  std::set<AgentName> temperatures_;
  std::set<AgentName> loaded_models_;
  std::set<AgentName> offers_;
  std::set<std::string> learned_;
};

}  // namespace edgefleet::coordinator
