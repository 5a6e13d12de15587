#include "coordinator/store/backup/check.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include "common/core/artifact_id.hpp"
#include "common/core/ids.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/fields.hpp"
#include "coordinator/store/artifacts/files.hpp"
#include "coordinator/store/attempts.hpp"
#include "coordinator/store/sqlite/guarded.hpp"
#include "coordinator/store/sqlite/rows.hpp"
#include "coordinator/store/sqlite/schema.hpp"

namespace edgefleet::coordinator {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t most_problems = 100;

struct Reference {
  const char* rule;  // the problem of the row with this id
  const char* sql;   // ids of rows that break it
};

constexpr std::array<Reference, 6> references = {{
    {"has a state but no description",
     "SELECT id FROM tasks t WHERE NOT EXISTS (SELECT 1 FROM specs s WHERE s.id = t.id)"},
    {"has a description but no state",
     "SELECT id FROM specs s WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = s.id)"},
    {"names a batch that does not exist",
     "SELECT id FROM specs s WHERE batch IS NOT NULL AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.id = s.batch)"},
    {"is a batch without any task",
     "SELECT id FROM batches b WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id BETWEEN b.first AND b.last)"},
    {"names an artifact, but does not exist",
     "SELECT DISTINCT task FROM artifact_names n WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = n.task)"},
    {"is held after a restore, but does not exist",
     "SELECT id FROM held h WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = h.id)"},
}};

class Check {
 public:
  Check(std::string data, const Tell& tell)
      : data_(std::move(data)),
        alone_(fs::is_regular_file(data_)),
        path_(alone_ ? data_ : database_path(data_)),
        progress_(tell) {}

  Result<CheckReport> run() {
    const std::string& path = path_;
    std::error_code failure;
    if (!fs::exists(path, failure)) {
      return Error{"there is no database in " + data_ + "; name a data directory or a backup with --data",
                   ErrorKind::not_found};
    }
    try {
      SQLite::Database db(path, SQLite::OPEN_READONLY, 5000);
      const auto version = read_schema_version(db, path);
      if (!version) return version.error();
      report_.schema = *version;
      if (*version == 0) damaged("the database is empty");
      if (*version > 0 && *version < newest_schema()) {
        report_.notes.push_back("the database has schema " + std::to_string(*version) +
                                "; the coordinator migrates it to " + std::to_string(newest_schema()) +
                                " when it starts. Until then, references and tasks cannot be checked");
      }
      database(db);
      if (!damaged_ && *version == newest_schema()) contents(db);
    } catch (const SQLite::Exception& broken) {
      damaged(std::string("the database cannot be read: ") + broken.what());
    }
    auto read = alone_ ? success() : artifacts();
    if (!read) return read.error();
    advise();
    return std::move(report_);
  }

 private:
  void problem(const std::string& text) {
    if (++report_.problem_count <= most_problems) report_.problems.push_back(text);
  }
  void damaged(const std::string& text) {
    damaged_ = true;
    problem(text);
  }

  void database(SQLite::Database& db) {
    SQLite::Statement row(db, "PRAGMA integrity_check(100)");
    while (row.executeStep()) {
      const std::string found = row.getColumn(0).getString();
      if (found != "ok") damaged("database: " + found);
    }
  }

  void contents(SQLite::Database& db) {
    const SQLite::Transaction view(db);  // one consistent view, even while the coordinator writes
    report_.batches = static_cast<std::uint64_t>(db.execAndGet("SELECT count(*) FROM batches").getInt64());
    for (const Reference& reference : references) {
      SQLite::Statement row(db, reference.sql);
      while (row.executeStep()) {
        foreign_ = true;
        problem(rows::from_bytes(row.getColumn(0)).str() + " " + reference.rule);
      }
    }
    if (db.execAndGet("SELECT count(*) FROM meta WHERE key IN ('epoch', 'clock_ms')").getInt() != 2) {
      damaged("database: the epoch or the clock is missing");
    }
    if (db.execAndGet("SELECT count(*) FROM tokens_used WHERE typeof(tokens) <> 'integer' OR tokens < 0").getInt() !=
        0) {
      damaged("database: a count of tokens is no number");
    }
    tasks(db);
    if (!alone_) names(db);
  }

  // Each field of a task that the coordinator reads must be readable.
  void tasks(SQLite::Database& db) {
    SQLite::Statement row(
        db,
        "SELECT t.id, t.state, t.attempts, t.output, s.capability, s.input, s.conditions, s.input_at, "
        "t.output_at FROM tasks t "
        "JOIN specs s ON s.id = t.id");
    while (row.executeStep()) {
      ++report_.tasks;
      const auto wrong = [&](const std::string& what) {
        unreadable_ = true;
        problem("task " + rows::from_bytes(row.getColumn(0)).str() + ": " + what);
      };
      const int state = row.getColumn(1).getInt();
      if (state < 0 || state >= static_cast<int>(task_state_count)) {
        wrong("its state is unknown: " + std::to_string(state));
      }
      if (auto attempts = decode_attempts(row.getColumn(2).getString()); !attempts) wrong(attempts.error().message);
      if (!row.getColumn(3).isNull() && !json::well_formed(row.getColumn(3).getString())) {
        wrong("its output is not JSON");
      }
      if (!Capability::parse(row.getColumn(4).getString())) wrong("its capability is not valid");
      if (!json::well_formed(row.getColumn(5).getString())) wrong("its input is not JSON");
      if (!json::Object::read(row.getColumn(6).getString())) wrong("its conditions are not a JSON object");
      for (const int file : {7, 8}) {
        const auto column = row.getColumn(file);
        if (column.isNull()) continue;
        if (const auto read = protocol::decode_text_file(column.getString()); !read) wrong(read.error().message);
      }
      progress_.at([&] { return std::to_string(report_.tasks) + " tasks"; });
    }
  }

  void names(SQLite::Database& db) {
    SQLite::Statement row(db, "SELECT artifact, count(*) FROM artifact_names GROUP BY artifact");
    while (row.executeStep()) {
      const std::string id = row.getColumn(0).getString();
      if (!valid_artifact_id(id)) continue;  // a task may use any text as the name of an artifact
      std::error_code failure;
      if (fs::exists(artifact_path(artifacts_path(data_), id), failure)) continue;
      missing_ = true;
      problem("artifact " + id + " is missing, " + std::to_string(row.getColumn(1).getInt()) + " tasks name it");
    }
  }

  Status artifacts() {
    const std::string folder = artifacts_path(data_);
    return for_each_artifact(
        folder,
        [&](const std::string& id, std::uint64_t bytes) {
          const auto found = artifact_id_of(artifact_path(folder, id));
          std::error_code failure;
          if (!found && !fs::exists(artifact_path(folder, id), failure)) return;  // removed in the meantime
          ++report_.artifacts;
          report_.artifact_bytes += bytes;
          progress_.at([&] { return std::to_string(report_.artifacts) + " artifacts"; });
          if (found && *found == id) return;
          spoilt_ = true;
          problem(found ? "artifact " + artifact_path(folder, id) + " is corrupt: its content does not match its name"
                        : found.error().message);
        },
        [&](const std::string& path) { report_.notes.push_back(path + " is not an artifact and is not used"); });
  }

  void advise() {
    const auto add = [&](bool when, const std::string& what) {
      if (when) report_.advice.push_back(what);
    };
    if (alone_) {
      add(damaged_ || unreadable_ || foreign_,
          "make another backup, or recover the readable data: `sqlite3 " + path_ +
              " .recover | sqlite3 recovered.db`; check that, then restore from it");
      return;
    }
    add(damaged_ || unreadable_ || foreign_,
        "restore a backup: stop the coordinator, then `edgefleet-coordinator restore --from BACKUP --data " + data_ +
            " --force` (the present data is kept in a folder of its own)");
    add(damaged_, "without a backup: `sqlite3 " + path_ +
                      " .recover | sqlite3 recovered.db` recovers the readable data; check it, then restore from it");
    add(damaged_ || spoilt_, "check the storage medium: read the system log, run `smartctl`, or try another SD card");
    add(spoilt_, "remove the file of a corrupt artifact and upload it again, or copy it from a backup");
    add(missing_,
        "upload a missing artifact again (`edgefleet put FILE`), or copy it from a backup: tasks that need it fail");
  }

  std::string data_;
  bool alone_;  // a database without artifacts: made by `backup --to NAME.db`, or recovered
  std::string path_;
  Progress progress_;
  CheckReport report_;
  bool damaged_ = false;
  bool unreadable_ = false;
  bool foreign_ = false;
  bool missing_ = false;
  bool spoilt_ = false;
};

}  // namespace

Result<CheckReport> check_data(const std::string& data, const Tell& tell) { return Check(data, tell).run(); }

}  // namespace edgefleet::coordinator
