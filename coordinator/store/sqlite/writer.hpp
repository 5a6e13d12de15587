// The statements that change the database. One transaction each; the one thread that writes owns this.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

class Writer {
 public:
  explicit Writer(SQLite::Database& db);

  void commit(const Writes& writes);
  void keep_time(Duration clock);
  // The oldest `most` of the tasks beyond the retention, with their batches, keys and artifact names.
  Purged purge(const Retention& retention, Duration clock, std::size_t most);
  // After a failure, resets statements that were interrupted.
  void reset();

 private:
  void spec(const TaskRecord& record);
  std::uint64_t task(const TaskWrite& write, Duration clock);
  std::uint64_t stored_ended_bytes(const TaskId& id);
  void batch(const BatchRecord& record);
  void tokens(const std::vector<TokensUsed>& used);
  void name_artifact(const TaskId& id, const std::string& artifact);
  void name_artifacts(const TaskId& id, const std::string& text);
  void name_artifacts(const TaskId& id, const std::optional<TextFile>& file);
  void set_clock(Duration clock);
  struct Purgeable {
    std::vector<TaskId> ids;
    std::uint64_t bytes = 0;
  };
  Purgeable purgeable(const Retention& retention, Duration clock, std::size_t most);
  void purge_one(const TaskId& id);

  SQLite::Database& db_;
  SQLite::Statement insert_spec_;
  SQLite::Statement save_task_;
  SQLite::Statement insert_batch_;
  SQLite::Statement name_artifact_;
  SQLite::Statement drain_;
  SQLite::Statement resume_;
  SQLite::Statement epoch_;
  SQLite::Statement session_;
  SQLite::Statement clock_;
  SQLite::Statement no_longer_held_;
  SQLite::Statement count_tokens_;
  SQLite::Statement drop_days_;
  SQLite::Statement ended_bytes_of_;
  SQLite::Statement oldest_ended_;
  SQLite::Statement batch_of_;
  SQLite::Statement drop_task_;
  SQLite::Statement drop_spec_;
  SQLite::Statement drop_names_;
  SQLite::Statement drop_batch_;
  bool any_held_ = false;
  std::optional<std::int64_t> last_day_;  // of tokens
  std::size_t ended_ = 0;  // tasks with an outcome in the store
  std::uint64_t ended_bytes_ = 0;  // of their texts
};

}  // namespace edgefleet::coordinator
