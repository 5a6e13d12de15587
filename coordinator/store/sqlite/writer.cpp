#include "coordinator/store/sqlite/writer.hpp"

#include <algorithm>
#include <set>

#include "common/protocol/artifacts.hpp"
#include "common/protocol/codec.hpp"
#include "coordinator/core/budgets.hpp"
#include "coordinator/store/attempts.hpp"
#include "coordinator/store/sqlite/rows.hpp"

namespace edgefleet::coordinator {
namespace {

using rows::bind_id;
using rows::bind_ns;
using rows::bind_text;
using rows::bind_text_or_null;

void run(SQLite::Statement& statement) {
  statement.exec();
  statement.reset();
}

// On the store's clock, in whole milliseconds, rounded up: never earlier than requested.
void bind_at(SQLite::Statement& statement, int at, Duration clock, const std::optional<Duration>& remaining) {
  if (remaining) {
    statement.bind(at, std::int64_t{std::chrono::ceil<std::chrono::milliseconds>(clock + *remaining).count()});
  } else {
    statement.bind(at);
  }
}

std::string encode_file(const std::optional<TextFile>& file) {
  std::string text;
  if (file) protocol::append_text_file(text, *file);
  return text;
}

// What counts against Retention::bytes: the same texts as in `count_bytes`. The last three are encoded.
std::uint64_t bytes_of(const TaskRecord& record, const std::string& where, const std::string& attempts,
                       const std::string& error) {
  return record.spec.input.size() + record.spec.name.size() + record.output.size() + record.usage.size() +
         where.size() + attempts.size() + error.size();
}

}  // namespace

Writer::Writer(SQLite::Database& db)
    : db_(db),
      insert_spec_(db, "INSERT OR REPLACE INTO specs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"),
      save_task_(db,
                 "INSERT OR REPLACE INTO tasks (id, state, rank, allowed_attempts, due_at_ms, expires_at_ms, ended_at, "
                 "attempts, output, error, usage, run_ns, ended_at_ms, bytes, output_at) VALUES "
                 "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"),
      insert_batch_(db, "INSERT OR REPLACE INTO batches VALUES (?,?,?,?,?,?,?)"),
      name_artifact_(db, "INSERT OR IGNORE INTO artifact_names VALUES (?,?)"),
      drain_(db, "INSERT OR IGNORE INTO drained VALUES (?)"),
      resume_(db, "DELETE FROM drained WHERE agent = ?"),
      epoch_(db, "UPDATE meta SET value = ? WHERE key = 'epoch'"),
      session_(db, "UPDATE identity SET session = ?"),
      clock_(db, "UPDATE meta SET value = ? WHERE key = 'clock_ms'"),
      no_longer_held_(db, "DELETE FROM held WHERE id = ?"),
      count_tokens_(db, "INSERT OR REPLACE INTO tokens_used (client, day, tokens) VALUES (?,?,?)"),
      drop_days_(db,
                 "DELETE FROM tokens_used WHERE day <> ?1 AND day NOT IN "
                 "(SELECT DISTINCT day FROM tokens_used WHERE day <> ?1 ORDER BY day DESC LIMIT ?2)"),
      ended_bytes_of_(db, "SELECT bytes FROM tasks WHERE id = ? AND ended_at_ms IS NOT NULL"),
      oldest_ended_(db,
                    "SELECT id, ended_at_ms, bytes FROM tasks INDEXED BY tasks_ended WHERE ended_at_ms IS NOT NULL "
                    "ORDER BY ended_at_ms, id LIMIT ?"),
      batch_of_(db, "SELECT batch FROM specs WHERE id = ?"),
      drop_task_(db, "DELETE FROM tasks WHERE id = ?"),
      drop_spec_(db, "DELETE FROM specs WHERE id = ?"),
      drop_names_(db, "DELETE FROM artifact_names WHERE task = ?"),
      drop_batch_(db,
                  "DELETE FROM batches WHERE id = ? AND NOT EXISTS "
                  "(SELECT 1 FROM tasks WHERE tasks.id BETWEEN batches.first AND batches.last)"),
      any_held_(db.execAndGet("SELECT EXISTS (SELECT 1 FROM held)").getInt() != 0),
      ended_(static_cast<std::size_t>(
          db.execAndGet("SELECT count(*) FROM tasks WHERE ended_at_ms IS NOT NULL").getInt64())),
      ended_bytes_(static_cast<std::uint64_t>(
          db.execAndGet("SELECT ifnull(sum(bytes), 0) FROM tasks INDEXED BY tasks_ended WHERE ended_at_ms IS NOT NULL")
              .getInt64())) {}

void Writer::commit(const Writes& writes) {
  SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
  std::size_t ended_now = 0;
  std::uint64_t bytes_now = 0;
  std::uint64_t bytes_before = 0;  // of tasks that had ended before
  for (const TaskWrite& write : writes.tasks) {
    if (writes.revived > 0) bytes_before += stored_ended_bytes(write.record->id);
    if (write.created) spec(*write.record);
    bytes_now += task(write, writes.clock);
    if (ended(write.record->state)) ++ended_now;
  }
  for (const BatchRecord& record : writes.batches) batch(record);
  for (const auto& [agent, drained] : writes.drained) {
    auto& statement = drained ? drain_ : resume_;
    bind_text(statement, 1, agent.str());
    run(statement);
  }
  if (writes.reign) {
    epoch_.bind(1, static_cast<std::int64_t>(writes.reign->epoch));
    run(epoch_);
    bind_text(session_, 1, writes.reign->session.str());
    run(session_);
  }
  if (!writes.tokens.empty()) tokens(writes.tokens);
  if (writes.released) db_.exec("DELETE FROM held");
  set_clock(writes.clock);
  transaction.commit();
  if (writes.released) any_held_ = false;
  ended_ = ended_ + ended_now - std::min(ended_ + ended_now, writes.revived);
  ended_bytes_ = ended_bytes_ + bytes_now - std::min(ended_bytes_ + bytes_now, bytes_before);
}

std::uint64_t Writer::stored_ended_bytes(const TaskId& id) {
  bind_id(ended_bytes_of_, 1, id);
  const bool found = ended_bytes_of_.executeStep();
  const auto bytes = found ? ended_bytes_of_.getColumn(0).getInt64() : 0;
  ended_bytes_of_.reset();
  return static_cast<std::uint64_t>(bytes);
}

void Writer::keep_time(Duration clock) { set_clock(clock); }

void Writer::set_clock(Duration clock) {
  clock_.bind(1, to_ms(clock));
  run(clock_);
}

void Writer::reset() {
  for (auto* statement : {&insert_spec_, &save_task_, &insert_batch_, &name_artifact_, &drain_, &resume_, &epoch_,
                          &session_, &clock_, &no_longer_held_, &count_tokens_, &drop_days_, &ended_bytes_of_,
                          &oldest_ended_, &batch_of_, &drop_task_, &drop_spec_, &drop_names_, &drop_batch_}) {
    statement->tryReset();
  }
}

void Writer::spec(const TaskRecord& record) {
  const TaskSpec& spec = record.spec;
  const std::string where = rows::encode_where(spec.where);
  auto& s = insert_spec_;
  bind_id(s, 1, record.id);
  bind_text(s, 2, spec.capability.str());
  bind_text(s, 3, spec.input);
  bind_text(s, 4, spec.name);
  s.bind(5, spec.priority);
  s.bind(6, spec.timeout.count());
  bind_ns(s, 7, spec.expires_after);
  s.bind(8, spec.delay.count());
  s.bind(9, spec.max_attempts);
  bind_text(s, 10, where);
  bind_text(s, 11, record.submitter);
  bind_text_or_null(s, 12, record.idempotency_key);
  if (record.batch) {
    bind_id(s, 13, *record.batch);
  } else {
    s.bind(13);
  }
  s.bind(14, record.accepted_at.unix_ms);
  const std::string input_at = encode_file(spec.input_at);
  bind_text_or_null(s, 15, input_at);
  run(s);
  name_artifacts(record.id, spec.input);
  name_artifacts(record.id, spec.input_at);
}

// The bytes that count against the retention: 0 for a task that has not ended.
std::uint64_t Writer::task(const TaskWrite& write, Duration clock) {
  const TaskRecord& record = *write.record;
  const std::string attempts = encode_attempts(record.attempts);
  std::string error;
  if (record.error) protocol::append_error(error, *record.error);
  auto& s = save_task_;
  bind_id(s, 1, record.id);
  s.bind(2, static_cast<int>(record.state));
  s.bind(3, record.order);
  s.bind(4, record.allowed_attempts);
  bind_at(s, 5, clock, write.due_in);
  bind_at(s, 6, clock, write.expires_in);
  if (record.ended_at) {
    s.bind(7, record.ended_at->unix_ms);
  } else {
    s.bind(7);
  }
  bind_text(s, 8, attempts);
  bind_text_or_null(s, 9, record.output);
  bind_text_or_null(s, 10, error);
  bind_text_or_null(s, 11, record.usage);
  s.bind(12, record.run.count());
  bind_at(s, 13, clock, ended(record.state) ? std::optional(Duration{0}) : std::nullopt);
  std::uint64_t bytes = 0;
  if (ended(record.state)) {
    bytes = bytes_of(record, rows::encode_where(record.spec.where), attempts, error);
    s.bind(14, static_cast<std::int64_t>(bytes));
  } else {
    s.bind(14);
  }
  const std::string output_at = encode_file(record.output_at);
  bind_text_or_null(s, 15, output_at);
  run(s);
  name_artifacts(record.id, record.output);
  name_artifacts(record.id, record.output_at);
  if (any_held_ && ended(record.state)) {
    bind_id(no_longer_held_, 1, record.id);
    run(no_longer_held_);
  }
  return bytes;
}

void Writer::batch(const BatchRecord& record) {
  auto& s = insert_batch_;
  bind_id(s, 1, record.id);
  bind_text(s, 2, record.submitter);
  bind_text_or_null(s, 3, record.idempotency_key);
  bind_text(s, 4, record.fingerprint);
  bind_id(s, 5, record.first);
  bind_id(s, 6, record.last);
  s.bind(7, static_cast<std::int64_t>(record.total));
  run(s);
}

void Writer::tokens(const std::vector<TokensUsed>& used) {
  for (const auto& [client, day, tokens] : used) {
    bind_text(count_tokens_, 1, client);
    count_tokens_.bind(2, day);
    count_tokens_.bind(3, static_cast<std::int64_t>(tokens));
    run(count_tokens_);
    if (last_day_ == day) continue;
    drop_days_.bind(1, day);
    drop_days_.bind(2, static_cast<std::int64_t>(Budgets::most_days) - 1);
    run(drop_days_);
    last_day_ = day;
  }
}

void Writer::name_artifact(const TaskId& id, const std::string& artifact) {
  bind_text(name_artifact_, 1, artifact);
  bind_id(name_artifact_, 2, id);
  run(name_artifact_);
}

void Writer::name_artifacts(const TaskId& id, const std::string& text) {
  for (const std::string& artifact : protocol::artifacts_in(text)) name_artifact(id, artifact);
}

void Writer::name_artifacts(const TaskId& id, const std::optional<TextFile>& file) {
  if (!file) return;
  name_artifact(id, file->artifact);
  for (const std::string& artifact : file->artifacts) name_artifact(id, artifact);
}

// ---- retention

Writer::Purgeable Writer::purgeable(const Retention& retention, Duration clock, std::size_t most) {
  const std::size_t too_many = ended_ > retention.most ? ended_ - retention.most : 0;
  const std::uint64_t too_large = ended_bytes_ > retention.bytes ? ended_bytes_ - retention.bytes : 0;
  const std::int64_t until = to_ms(clock - retention.keep);
  Purgeable old;
  oldest_ended_.bind(1, static_cast<std::int64_t>(most));
  while (oldest_ended_.executeStep()) {
    const bool enough = old.ids.size() >= too_many && old.bytes >= too_large;
    if (enough && oldest_ended_.getColumn(1).getInt64() > until) break;
    old.ids.emplace_back(rows::from_bytes(oldest_ended_.getColumn(0)));
    old.bytes += static_cast<std::uint64_t>(oldest_ended_.getColumn(2).getInt64());
  }
  oldest_ended_.reset();
  return old;
}

void Writer::purge_one(const TaskId& id) {
  for (auto* statement : {&drop_task_, &drop_spec_, &drop_names_}) {
    bind_id(*statement, 1, id);
    run(*statement);
  }
}

Purged Writer::purge(const Retention& retention, Duration clock, std::size_t most) {
  // Checked before a transaction, so that nothing is written if there is nothing to do.
  const auto [ids, bytes] = purgeable(retention, clock, most);
  if (ids.empty()) return {};
  SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
  std::set<Ulid> batches;
  for (const TaskId& id : ids) {
    bind_id(batch_of_, 1, id);
    if (batch_of_.executeStep() && !batch_of_.getColumn(0).isNull()) {
      batches.insert(rows::from_bytes(batch_of_.getColumn(0)));
    }
    batch_of_.reset();
    purge_one(id);
  }
  for (const Ulid& id : batches) {
    bind_id(drop_batch_, 1, id);
    run(drop_batch_);
  }
  set_clock(clock);
  transaction.commit();
  ended_ -= std::min(ended_, ids.size());
  ended_bytes_ -= std::min(ended_bytes_, bytes);
  return {ids.size(), ids.size() == most};
}

}  // namespace edgefleet::coordinator
