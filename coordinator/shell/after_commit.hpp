// The listeners that receive the changes of each commit.
#pragma once

#include <vector>

#include "coordinator/core/changes.hpp"
#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

// A listener is called on the loop's thread, between a commit and the next drain: it must not wait, must not throw, and
// keeps what it holds bounded by itself. Ended tasks are still in the state.
class CommitListener {
 public:
  CommitListener() = default;
  CommitListener(const CommitListener&) = delete;
  CommitListener& operator=(const CommitListener&) = delete;
  CommitListener(CommitListener&&) = delete;
  CommitListener& operator=(CommitListener&&) = delete;
  virtual ~CommitListener() = default;

  virtual void committed(const Changes& changes, const State& state) = 0;
};

// The listeners of a loop, in the order of their addition. They are added before the loop runs and outlive it.
class AfterCommit {
 public:
  void add(CommitListener& listener) { listeners_.push_back(&listener); }
  void tell(const Changes& changes, const State& state) const {
    if (changes.empty()) return;
    for (CommitListener* listener : listeners_) listener->committed(changes, state);
  }

 private:
  std::vector<CommitListener*> listeners_;
};

// Calls `on_task(TaskId)` for each task that got its outcome, `on_batch(BatchId)` for each batch that has ended.
template <typename OnTask, typename OnBatch>
void for_each_ended(const Changes& changes, OnTask on_task, OnBatch on_batch) {
  for (const Change& change : changes) {
    if (const auto* task = std::get_if<TaskChanged>(&change); task != nullptr && ended(task->to)) on_task(task->id);
    if (const auto* batch = std::get_if<BatchEnded>(&change)) on_batch(batch->id);
  }
}

}  // namespace edgefleet::coordinator
