#include "coordinator/store/sqlite/reader.hpp"

#include "coordinator/store/sqlite/guarded.hpp"
#include "coordinator/store/sqlite/rows.hpp"

namespace edgefleet::coordinator {
namespace {

using rows::bind_id;
using rows::read_batch;
using rows::read_task;

// Names an index that holds few other rows: SQLite has no statistics here, and a list must not scan a million tasks to
// find ten.
std::string list_of(const TaskQuery& query) {
  std::string from = "tasks t CROSS JOIN specs s ON s.id = t.id";
  std::string id = "t.id";
  if (query.state > TaskState::succeeded) {
    from = "tasks t INDEXED BY tasks_unsuccessful CROSS JOIN specs s ON s.id = t.id";
  } else if (!query.submitter.empty() && query.submitter != rows::local_submitter && !query.batch) {
    from = "specs s INDEXED BY specs_by_submitter CROSS JOIN tasks t ON t.id = s.id";
    id = "s.id";
  } else if (query.capability && !query.batch) {
    from = "specs s INDEXED BY specs_by_capability CROSS JOIN tasks t ON t.id = s.id";
    id = "s.id";
  }
  std::string sql = rows::select_brief(from) + "WHERE 1";
  if (query.state) sql += " AND t.state = " + std::to_string(static_cast<int>(*query.state));
  if (query.state > TaskState::succeeded) sql += " AND t.state > 5";  // exactly the condition of the index
  if (query.capability) sql += " AND s.capability = :capability";
  if (!query.submitter.empty()) sql += " AND s.submitter = :submitter";
  if (from.find("specs_by_submitter") != std::string::npos) {  // exactly the condition of the index
    sql += " AND s.submitter <> '" + std::string(rows::local_submitter) + "'";
  }
  if (query.batch) {
    sql += " AND " + id +
           " BETWEEN (SELECT first FROM batches WHERE id = :batch) AND (SELECT last FROM batches WHERE id = :batch)";
  }
  if (query.before) sql += " AND " + id + " < :before";
  return sql + " ORDER BY " + id + " DESC LIMIT " + std::to_string(query.limit);
}

// Ends the statement's view of the database in every case.
class Run {
 public:
  explicit Run(SQLite::Statement& statement) : statement_(statement) { statement_.tryReset(); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  Run(Run&&) = delete;
  Run& operator=(Run&&) = delete;
  ~Run() { statement_.tryReset(); }

 private:
  SQLite::Statement& statement_;
};

}  // namespace

Reader::Reader(std::shared_ptr<SQLite::Database> db)
    : db_(std::move(db)),
      by_id_(*db_, rows::select_task() + "WHERE t.id = ?"),
      task_by_key_(*db_, rows::select_task() + "WHERE s.submitter = ? AND s.idempotency_key = ?"),
      batch_by_key_(*db_, std::string(rows::select_batch) + "WHERE submitter = ? AND idempotency_key = ?") {}

Result<std::optional<TaskRecord>> Reader::task(const TaskId& id) {
  return guarded("reading task " + id.str(), [&]() -> Result<std::optional<TaskRecord>> {
    const Run run(by_id_);
    bind_id(by_id_, 1, id);
    if (!by_id_.executeStep()) return std::optional<TaskRecord>{};
    return std::optional(read_task(by_id_));
  });
}

Result<std::vector<TaskRecord>> Reader::tasks(const TaskQuery& query) {
  return guarded("reading tasks", [&]() -> Result<std::vector<TaskRecord>> {
    SQLite::Statement row(*db_, list_of(query));
    if (query.capability) row.bind(":capability", query.capability->str());
    if (!query.submitter.empty()) row.bind(":submitter", query.submitter);
    const auto bind_bytes = [&](const char* name, const Ulid& id) {
      const std::string bytes = rows::to_bytes(id);
      row.bind(name, bytes.data(), static_cast<int>(bytes.size()));
    };
    if (query.batch) bind_bytes(":batch", *query.batch);
    if (query.before) bind_bytes(":before", *query.before);
    std::vector<TaskRecord> all;
    while (row.executeStep()) all.push_back(read_task(row));
    return all;
  });
}

Result<std::optional<BatchRecord>> Reader::batch(const BatchId& id) {
  return guarded("reading batch " + id.str(), [&]() -> Result<std::optional<BatchRecord>> {
    SQLite::Statement row(*db_, std::string(rows::select_batch) + "WHERE id = ?");
    bind_id(row, 1, id);
    if (!row.executeStep()) return std::optional<BatchRecord>{};
    return std::optional(read_batch(row));
  });
}

Result<std::array<std::size_t, task_state_count>> Reader::batch_counts(const BatchRecord& batch) {
  return guarded("counting batch " + batch.id.str(), [&]() -> Result<std::array<std::size_t, task_state_count>> {
    SQLite::Statement rows(*db_, "SELECT state, count(*) FROM tasks WHERE id BETWEEN ? AND ? GROUP BY state");
    bind_id(rows, 1, batch.first);
    bind_id(rows, 2, batch.last);
    std::array<std::size_t, task_state_count> counts{};
    while (rows.executeStep()) {
      counts.at(static_cast<std::size_t>(rows.getColumn(0).getInt())) =
          static_cast<std::size_t>(rows.getColumn(1).getInt64());
    }
    return counts;
  });
}

Result<std::vector<TaskId>> Reader::batch_tasks(const BatchRecord& batch) {
  return guarded("reading batch " + batch.id.str(), [&]() -> Result<std::vector<TaskId>> {
    SQLite::Statement row(*db_, "SELECT id FROM tasks WHERE id BETWEEN ? AND ? ORDER BY id");
    bind_id(row, 1, batch.first);
    bind_id(row, 2, batch.last);
    std::vector<TaskId> ids;
    while (row.executeStep()) ids.emplace_back(rows::from_bytes(row.getColumn(0)));
    return ids;
  });
}

Result<std::optional<TaskRecord>> Reader::task_by_key(const std::string& submitter, const std::string& key) {
  return guarded("looking for an idempotency key", [&]() -> Result<std::optional<TaskRecord>> {
    const Run run(task_by_key_);
    task_by_key_.bind(1, submitter);
    task_by_key_.bind(2, key);
    if (!task_by_key_.executeStep()) return std::optional<TaskRecord>{};
    return std::optional(read_task(task_by_key_));
  });
}

Result<std::optional<BatchRecord>> Reader::batch_by_key(const std::string& submitter, const std::string& key) {
  return guarded("looking for an idempotency key", [&]() -> Result<std::optional<BatchRecord>> {
    const Run run(batch_by_key_);
    batch_by_key_.bind(1, submitter);
    batch_by_key_.bind(2, key);
    if (!batch_by_key_.executeStep()) return std::optional<BatchRecord>{};
    return std::optional(read_batch(batch_by_key_));
  });
}

Result<bool> Reader::artifact_named(const std::string& artifact) {
  return guarded("looking for tasks that name an artifact", [&]() -> Result<bool> {
    SQLite::Statement row(*db_, "SELECT 1 FROM artifact_names WHERE artifact = ? LIMIT 1");
    row.bind(1, artifact);
    return row.executeStep();
  });
}

Result<bool> Reader::artifact_named_by(const std::string& artifact, const std::string& submitter) {
  return guarded("looking for tasks that name an artifact", [&]() -> Result<bool> {
    SQLite::Statement row(*db_,
                          "SELECT 1 FROM artifact_names a CROSS JOIN specs s ON s.id = a.task "
                          "WHERE a.artifact = ? AND s.submitter = ? LIMIT 1");
    row.bind(1, artifact);
    row.bind(2, submitter);
    return row.executeStep();
  });
}

Result<bool> Reader::artifact_named_in(const std::string& artifact, const std::vector<TaskId>& tasks) {
  return guarded("looking for tasks that name an artifact", [&]() -> Result<bool> {
    SQLite::Statement row(*db_, "SELECT 1 FROM artifact_names WHERE artifact = ? AND task = ?");
    for (const TaskId& task : tasks) {
      row.reset();
      row.bind(1, artifact);
      bind_id(row, 2, task);
      if (row.executeStep()) return true;
    }
    return false;
  });
}

}  // namespace edgefleet::coordinator
