// The contract of the `Store` port. The test cases in contract_*_test.cpp run once for each implementation that
// store_kinds() lists. A new implementation needs a KeptStore and a line in that list.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/store/port.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/records.hpp"

namespace edgefleet::test {

// What an implementation provides: one store that is empty at first, and that outlives the programs that open it.
class KeptStore {
 public:
  KeptStore() = default;
  KeptStore(const KeptStore&) = delete;
  KeptStore& operator=(const KeptStore&) = delete;
  KeptStore(KeptStore&&) = delete;
  KeptStore& operator=(KeptStore&&) = delete;
  virtual ~KeptStore() = default;

  // One at a time.
  virtual std::unique_ptr<Store> open() = 0;
  // Ends `store` like a program that is killed: nothing is flushed or closed in order.
  virtual void kill(std::unique_ptr<Store> store) = 0;
  // Makes a backup of a closed store and restores it.
  virtual void restore_backup() = 0;
  // While true, each write of the open store fails, if possible at its last step.
  virtual void break_writes(bool broken) = 0;
};

struct StoreKind {
  std::string name;
  std::unique_ptr<KeptStore> (*make)();
};
// The implementations that can run on this machine.
const std::vector<StoreKind>& store_kinds();

// An open store of each kind in turn: the test case that creates this runs once for each of them.
class EachStore {
 public:
  EachStore();

  Store& operator*() { return *store_; }
  Store* operator->() { return store_.get(); }
  void reopen();
  void kill_and_reopen();
  void restore_backup();  // and open it
  void break_writes(bool broken) { kept_->break_writes(broken); }

 private:
  const StoreKind& kind_;
  Catch::ScopedMessage name_;  // in each failure
  std::unique_ptr<KeptStore> kept_;
  std::unique_ptr<Store> store_;
};

inline TaskId id(std::uint64_t number) { return record(number).id; }
inline TaskRecord ended_record(std::uint64_t number, TaskState state = TaskState::succeeded) {
  TaskRecord r = record(number);
  r.state = state;
  r.ended_at = WallTime{1'700'000'000'000};
  return r;
}
// A record that differs from the default in every field.
TaskRecord full_record(std::uint64_t number);
inline BatchId batch_id(std::uint64_t number) { return BatchId{Ulid{4, number}}; }
// Marks the records as one batch, without a key.
BatchRecord batch_of(std::vector<TaskRecord>& records, std::uint64_t number = 1);
TaskWrite created(const TaskRecord& r);  // the record lives until the commit
void save_all(Store& store, const std::vector<TaskRecord>& records, const std::vector<BatchRecord>& batches = {});

std::optional<TaskRecord> find(Store& store, const TaskId& task);
bool kept(Store& store, std::uint64_t number);
std::vector<TaskId> ids(const Result<std::vector<TaskRecord>>& records);
std::vector<std::string> drained(Store& store);  // sorted
std::vector<TaskId> held(Store& store);          // sorted

// Everything that is stored of a task; the remaining times are checked by themselves.
void check_equal(const TaskRecord& stored, const TaskRecord& expected);
void check_equal(const BatchRecord& stored, const BatchRecord& expected);

}  // namespace edgefleet::test
