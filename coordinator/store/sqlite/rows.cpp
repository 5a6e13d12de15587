#include "coordinator/store/sqlite/rows.hpp"

#include <algorithm>

#include "common/protocol/codec.hpp"
#include "common/protocol/fields.hpp"
#include "coordinator/store/attempts.hpp"

namespace edgefleet::coordinator::rows {
namespace {

std::optional<Duration> duration_or_none(const SQLite::Column& column) {
  if (column.isNull()) return std::nullopt;
  return Duration{column.getInt64()};
}

std::optional<TextFile> file_or_none(const SQLite::Column& column) {
  if (column.isNull()) return std::nullopt;
  auto file = protocol::decode_text_file(column.getString());
  if (!file) throw SQLite::Exception("a file of a task: " + file.error().message);
  return std::move(*file);
}

Where decode_where(const std::string& text) {
  Where where;
  if (const auto object = json::Object::read(text)) {
    for (const auto& [name, value] : object->members()) where[name] = json::as_string(value).value_or("");
  }
  return where;
}

std::string select(const char* input, const char* output, const std::string& more, const std::string& from) {
  return std::string("SELECT s.id, s.capability, ") + input +
         ", s.name, s.priority, s.timeout_ns, s.expires_after_ns, s.delay_ns, s.max_attempts, s.conditions, "
         "s.submitter, s.idempotency_key, s.batch, s.accepted_at, t.state, t.rank, t.allowed_attempts, t.ended_at, "
         "t.attempts, " +
         output + ", t.error, t.usage, t.run_ns, s.input_at, t.output_at" + more + " FROM " + from + " ";
}

}  // namespace

std::string select_task(const std::string& more) {
  return select("s.input", "t.output", more, "tasks t JOIN specs s ON s.id = t.id");
}
std::string select_brief(const std::string& from) { return select("'null'", "NULL", {}, from); }

std::string to_bytes(const Ulid& id) {
  std::string bytes(16, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(id.high >> (56U - 8U * i));
    bytes[8 + i] = static_cast<char>(id.low >> (56U - 8U * i));
  }
  return bytes;
}

Ulid from_bytes(const SQLite::Column& column) {
  Ulid id;
  if (column.getBytes() != 16) return id;
  const auto* bytes = static_cast<const unsigned char*>(column.getBlob());
  for (std::size_t i = 0; i < 8; ++i) {
    id.high = (id.high << 8U) | bytes[i];
    id.low = (id.low << 8U) | bytes[8 + i];
  }
  return id;
}

void bind_id(SQLite::Statement& statement, int at, const Ulid& id) {
  const std::string bytes = to_bytes(id);
  statement.bind(at, bytes.data(), static_cast<int>(bytes.size()));
}
void bind_text(SQLite::Statement& statement, int at, const std::string& text) { statement.bindNoCopy(at, text); }
void bind_text_or_null(SQLite::Statement& statement, int at, const std::string& text) {
  if (text.empty()) {
    statement.bind(at);
  } else {
    statement.bindNoCopy(at, text);
  }
}
void bind_ns(SQLite::Statement& statement, int at, const std::optional<Duration>& duration) {
  if (duration) {
    statement.bind(at, duration->count());
  } else {
    statement.bind(at);
  }
}

std::string encode_where(const Where& where) {
  std::string out;
  {
    json::ObjectWriter object(out);
    for (const auto& [name, value] : where) object.string(name, value);
  }
  return out;
}

TaskRecord read_task(SQLite::Statement& row) {
  TaskRecord record;
  TaskSpec& spec = record.spec;
  int at = 0;
  record.id = TaskId{from_bytes(row.getColumn(at++))};
  spec.capability = Capability::parse(row.getColumn(at++).getString()).value_or(Capability{});
  spec.input = row.getColumn(at++).getString();
  spec.name = row.getColumn(at++).getString();
  spec.priority = row.getColumn(at++).getInt();
  spec.timeout = Duration{row.getColumn(at++).getInt64()};
  spec.expires_after = duration_or_none(row.getColumn(at++));
  spec.delay = Duration{row.getColumn(at++).getInt64()};
  spec.max_attempts = row.getColumn(at++).getInt();
  spec.where = decode_where(row.getColumn(at++).getString());
  record.submitter = row.getColumn(at++).getString();
  record.idempotency_key = row.getColumn(at++).getString();
  if (const auto batch = row.getColumn(at++); !batch.isNull()) record.batch = BatchId{from_bytes(batch)};
  record.accepted_at = WallTime{row.getColumn(at++).getInt64()};
  record.state = static_cast<TaskState>(std::clamp(row.getColumn(at++).getInt(), 0, int{task_state_count} - 1));
  record.order = row.getColumn(at++).getInt64();
  record.allowed_attempts = row.getColumn(at++).getInt();
  if (const auto ended = row.getColumn(at++); !ended.isNull()) record.ended_at = WallTime{ended.getInt64()};
  auto attempts = decode_attempts(row.getColumn(at++).getString());
  if (!attempts) throw SQLite::Exception("task " + record.id.str() + ": " + attempts.error().message);
  record.attempts = std::move(*attempts);
  record.output = row.getColumn(at++).getString();
  if (const auto error = row.getColumn(at++); !error.isNull()) {
    if (auto decoded = protocol::decode_error(error.getString())) record.error = std::move(*decoded);
  }
  record.usage = row.getColumn(at++).getString();
  record.run = Duration{row.getColumn(at++).getInt64()};
  spec.input_at = file_or_none(row.getColumn(at++));
  record.output_at = file_or_none(row.getColumn(at++));
  return record;
}

BatchRecord read_batch(SQLite::Statement& row) {
  return BatchRecord{BatchId{from_bytes(row.getColumn(0))},
                     row.getColumn(1).getString(),
                     row.getColumn(2).getString(),
                     row.getColumn(3).getString(),
                     TaskId{from_bytes(row.getColumn(4))},
                     TaskId{from_bytes(row.getColumn(5))},
                     static_cast<std::size_t>(row.getColumn(6).getInt64())};
}

}  // namespace edgefleet::coordinator::rows
