// Contract of the `Store` port: what is kept of a task and of a batch, with any text that a client can send.
#include <array>
#include <limits>

#include "tests/unit/coordinator/store/contract.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace edgefleet::test;

namespace {

// Texts that clients and agents can send, as JSON strings have them after decoding.
const std::array texts = {
    "a\0b"s,                                  // U+0000
    "\0"s,                                    // only that
    "\U0001F9E0\U0010FFFF \u00e9 e\u0301"s,   // four bytes, the last code point, a combining character
    "\x01\x1f\x7f\r\n\t"s,                    // control characters
    R"(' " \ ; -- % _ $1 ? :batch {} null)"s,  // what SQL or JSON could misread
    " "s,
    "NULL"s,
    "007"s,  // not a number
};

void check_everywhere(Store& store, const TaskRecord& expected) {
  const auto by_id = find(store, expected.id);
  REQUIRE(by_id);
  check_equal(*by_id, expected);
  const auto by_key = store.reads().task_by_key(expected.submitter, expected.idempotency_key);
  REQUIRE((by_key && *by_key));
  check_equal(**by_key, expected);
  const auto elsewhere = store.reader()->task(expected.id);
  REQUIRE((elsewhere && *elsewhere));
  check_equal(**elsewhere, expected);
}

}  // namespace

TEST_CASE("store contract: a task is read back with all its fields, after its creation and after a change") {
  EachStore store;
  TaskRecord r = record(1);
  r.idempotency_key = "k";
  save(*store, r);
  check_everywhere(*store, r);
  TaskRecord full = full_record(2);
  TaskRecord at_first = full;
  at_first.state = TaskState::queued;
  at_first.order = 0;
  at_first.allowed_attempts = 3;
  at_first.ended_at.reset();
  at_first.attempts.clear();
  at_first.output.clear();
  at_first.error.reset();
  at_first.usage.clear();
  at_first.run = 0s;
  save(*store, at_first);
  check_everywhere(*store, at_first);
  save(*store, full, false);
  check_everywhere(*store, full);
  store.reopen();
  check_everywhere(*store, full);
  check_everywhere(*store, r);
  save(*store, at_first, false);  // also back: a retry by hand
  check_everywhere(*store, at_first);
}

TEST_CASE("store contract: an unfinished task is read back with all its fields when a coordinator starts") {
  EachStore store;
  TaskRecord r = full_record(1);
  r.state = TaskState::running;
  r.due_in = 3s;
  r.expires_in = 4s;
  save(*store, r);
  store.reopen();
  const auto all = store->unfinished({}, 10);
  REQUIRE(all);
  REQUIRE(all->size() == 1);
  check_equal(all->front(), r);
  CHECK(all->front().due_in == r.due_in);
  CHECK(all->front().expires_in == r.expires_in);
}

TEST_CASE("store contract: a list has all fields of its tasks except input and output") {
  EachStore store;
  TaskRecord r = full_record(1);
  r.spec.input = R"({"large":"input"})";
  save(*store, r);
  const auto listed = store->reads().tasks({});
  REQUIRE(listed);
  REQUIRE(listed->size() == 1);
  r.spec.input = "null";
  r.output.clear();
  check_equal(listed->front(), r);
}

TEST_CASE("store contract: each state of a task and of an attempt is kept") {
  EachStore store;
  std::vector<TaskRecord> records;
  for (std::size_t state = 0; state < task_state_count; ++state) {
    TaskRecord r = record(state + 1);
    r.state = static_cast<TaskState>(state);
    for (const AttemptState attempt_state :
         {AttemptState::assigned, AttemptState::running, AttemptState::succeeded, AttemptState::failed,
          AttemptState::cancelled, AttemptState::returned, AttemptState::lost}) {
      Attempt attempt;
      attempt.n = static_cast<int>(r.attempts.size()) + 1;
      attempt.agent = *AgentName::parse("pi-1");
      attempt.session = *SessionId::parse("life");
      attempt.state = attempt_state;
      r.attempts.push_back(attempt);
    }
    records.push_back(std::move(r));
  }
  save_all(*store, records);
  for (const TaskRecord& r : records) check_equal(*find(*store, r.id), r);
  CHECK(ids(store->unfinished({}, 100)) == std::vector{id(1), id(2), id(3), id(4), id(5)});
}

TEST_CASE("store contract: numbers and durations are kept at their bounds") {
  EachStore store;
  TaskRecord r = full_record(1);
  const auto set = [&](bool largest) {
    r.spec.priority = largest ? limits::priority : -limits::priority;
    r.spec.max_attempts = largest ? limits::max_attempts : 1;
    r.spec.timeout = largest ? limits::longest : 1ms;
    r.spec.delay = largest ? limits::longest : 0s;
    r.spec.expires_after = r.spec.delay;
    r.order = largest ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
    r.allowed_attempts = largest ? std::numeric_limits<int>::max() : 0;
    r.run = r.spec.delay + (largest ? 1ns : 0ns);
    r.accepted_at.unix_ms = largest ? 253'402'300'799'999 : 0;
    r.ended_at = r.accepted_at;
  };
  for (const bool largest : {false, true}) {
    set(largest);
    save(*store, r);
    check_equal(*find(*store, r.id), r);
  }
}

TEST_CASE("store contract: an id is kept with all its bits") {
  EachStore store;
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  for (const Ulid& ulid : {Ulid{0, 1}, Ulid{1, 0}, Ulid{most >> 1U, most}, Ulid{most, most}}) {
    TaskRecord r = record(1);
    r.id = TaskId{ulid};
    r.batch = BatchId{ulid};
    save(*store, r);
    check_equal(*find(*store, r.id), r);
  }
}

TEST_CASE("store contract: any text is kept byte for byte") {
  EachStore store;
  std::uint64_t number = 0;
  for (const std::string& text : texts) {
    CAPTURE(number, text);
    TaskRecord r = full_record(++number);
    r.spec.name = r.submitter = r.idempotency_key = text;
    r.spec.where = {{text, text}, {"room", text + "."}};
    r.error->message = text;
    r.attempts.back().error->message = text;
    save(*store, r);
    check_everywhere(*store, r);
    BatchRecord batch{batch_id(number), text, text, text, r.id, r.id, 1};
    Writes writes;
    writes.batches.push_back(batch);
    REQUIRE(store->commit(writes));
    const auto found = store->reads().batch_by_key(text, text);
    REQUIRE((found && *found));
    check_equal(**found, batch);
    CHECK_FALSE(store->reads().task_by_key(text, text + "\0"s)->has_value());
    CHECK_FALSE(store->reads().batch_by_key(text + "\0"s, text)->has_value());
  }
}

TEST_CASE("store contract: input, output and usage are kept as they came, not in another form of the same JSON") {
  EachStore store;
  TaskRecord r = full_record(1);
  for (const std::string& json : {R"({"b":1.10,"a":1E2,"b":2})"s, R"( [ 1 , "\u0000\ud83e\udde0\/" ] )"s, R"("007")"s,
                                  R"(null)"s, R"("")"s, R"(12345678901234567890.123456789)"s, "\"\U0001F9E0\""s}) {
    r.spec.input = r.output = r.usage = json;
    save(*store, r);
    check_everywhere(*store, r);
  }
}

TEST_CASE("store contract: texts of the largest size that the limits allow are kept") {
  EachStore store;
  TaskRecord r = full_record(1);
  r.spec.input = '"' + std::string(limits::input_bytes - 2, 'i') + '"';
  r.output = '"' + std::string(limits::payload_bytes - 2, 'o') + '"';
  r.spec.name = std::string(limits::name_bytes, 'n');
  r.idempotency_key = std::string(200, 'k');
  r.error->message = std::string(limits::error_bytes, 'e');
  r.spec.where.clear();
  for (std::size_t i = 0; i < limits::where_conditions; ++i) {
    const std::string number = std::to_string(i);
    r.spec.where[number + std::string(limits::label_bytes - number.size(), 'l')] =
        std::string(limits::label_bytes, 'v');
  }
  r.attempts.clear();
  for (int n = 1; n <= limits::max_attempts; ++n) {
    Attempt attempt;
    attempt.n = n;
    attempt.agent = *AgentName::parse(std::string(63, 'a'));
    attempt.session = *SessionId::parse(std::string(64, 's'));
    attempt.state = AttemptState::failed;
    attempt.error = TaskError{"failed", std::string(limits::error_bytes, 'm'), true, limits::longest};
    r.attempts.push_back(attempt);
  }
  save(*store, r);
  store.reopen();
  check_everywhere(*store, r);
}
