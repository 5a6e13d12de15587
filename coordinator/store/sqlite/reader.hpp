// The queries of the store, over one connection: one thread at a time.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <optional>
#include <string>
#include <vector>

#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

class Reader final : public Reads {
 public:
  explicit Reader(std::shared_ptr<SQLite::Database> db);

  Result<std::optional<TaskRecord>> task(const TaskId& id) override;
  Result<std::vector<TaskRecord>> tasks(const TaskQuery& query) override;
  Result<std::optional<BatchRecord>> batch(const BatchId& id) override;
  Result<std::array<std::size_t, task_state_count>> batch_counts(const BatchRecord& batch) override;
  Result<std::vector<TaskId>> batch_tasks(const BatchRecord& batch) override;
  Result<std::optional<TaskRecord>> task_by_key(const std::string& submitter, const std::string& key) override;
  Result<std::optional<BatchRecord>> batch_by_key(const std::string& submitter, const std::string& key) override;
  Result<bool> artifact_named(const std::string& artifact) override;
  Result<bool> artifact_named_by(const std::string& artifact, const std::string& submitter) override;
  Result<bool> artifact_named_in(const std::string& artifact, const std::vector<TaskId>& tasks) override;

 private:
  std::shared_ptr<SQLite::Database> db_;
  SQLite::Statement by_id_;  // the query of every long poll
  SQLite::Statement task_by_key_;
  SQLite::Statement batch_by_key_;
};

}  // namespace edgefleet::coordinator
