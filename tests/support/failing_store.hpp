// The real store, whose writes can be made to fail as on a full disk.
#pragma once

#include <atomic>
#include <memory>

#include "coordinator/store/sqlite/sqlite.hpp"

namespace edgefleet::test {

class FailingStore final : public coordinator::Store {
 public:
  explicit FailingStore(const std::string& directory) : store_(*coordinator::open_sqlite_store(directory)) {}

  std::atomic<bool> full{false};
  std::atomic<bool> full_until_purged{false};  // commits fail until old tasks have been removed
  std::atomic<int> commits{0};  // attempted commits that had something to write

  Status commit(const coordinator::Writes& writes) override {
    if (writes.empty()) return success();
    ++commits;
    if (full || full_until_purged) return disk_full();
    return store_->commit(writes);
  }
  Status keep_time(Duration clock) override {
    if (full) return disk_full();
    return store_->keep_time(clock);
  }
  Result<coordinator::Purged> purge(const coordinator::Retention& retention, Duration clock,
                                    std::size_t most) override {
    if (full) return disk_full();
    auto purged = store_->purge(retention, clock, most);
    if (purged && purged->tasks > 0) full_until_purged = false;
    return purged;
  }
  Result<std::uint64_t> reusable() override { return store_->reusable(); }
  Result<Reign> reign() override { return store_->reign(); }
  Result<std::string> identity() override { return store_->identity(); }
  Result<Duration> clock() override { return store_->clock(); }
  Result<std::vector<TaskId>> held() override { return store_->held(); }
  Result<std::vector<AgentName>> drained_agents() override { return store_->drained_agents(); }
  Result<std::vector<coordinator::TokensUsed>> tokens_used() override { return store_->tokens_used(); }
  Result<std::vector<coordinator::TaskRecord>> unfinished(const TaskId& after, std::size_t limit) override {
    return store_->unfinished(after, limit);
  }
  coordinator::Reads& reads() override { return store_->reads(); }
  std::shared_ptr<coordinator::Reads> reader() override { return store_->reader(); }

 private:
  static Error disk_full() { return Error{"the disk is full", ErrorKind::full}; }

  std::unique_ptr<coordinator::Store> store_;
};

}  // namespace edgefleet::test
