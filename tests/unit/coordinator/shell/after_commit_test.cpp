#include "coordinator/shell/after_commit.hpp"

#include "coordinator/shell/mqtt_replies.hpp"
#include "coordinator/shell/stream_hub.hpp"
#include "coordinator/shell/waiters.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

const TaskId task{Ulid{1, 1}};
const BatchId batch{Ulid{1, 2}};

class Listener final : public CommitListener {
 public:
  Listener(std::string name, std::vector<std::string>& heard) : name_(std::move(name)), heard_(heard) {}
  void committed(const Changes& changes, const State&) override {
    heard_.push_back(name_ + std::to_string(changes.size()));
  }

 private:
  std::string name_;
  std::vector<std::string>& heard_;
};

State state() { return State(Reign{1, *SessionId::parse("c")}, 1); }

TaskChanged change(TaskState to) { return {task, TaskState::running, to, 1, {}}; }

mqtt::Message request(const std::string& data) { return {{}, {}, 1, false, "reply", data}; }

}  // namespace

TEST_CASE("listeners receive each commit that changed something, in the order in which they were added") {
  std::vector<std::string> heard;
  Listener first("a", heard);
  Listener second("b", heard);
  AfterCommit after;
  after.add(first);
  after.add(second);
  after.tell({}, state());
  CHECK(heard.empty());
  after.tell({change(TaskState::queued), BatchEnded{batch}}, state());
  CHECK(heard == std::vector<std::string>{"a2", "b2"});
}

TEST_CASE("a waiter is notified of the end of its task or batch, and of nothing else") {
  Waiters waiters;
  int tasks = 0;
  int batches = 0;
  const Waiters::Ticket for_task(waiters, task, [&] { ++tasks; });
  const Waiters::Ticket for_batch(waiters, batch, [&] { ++batches; });
  waiters.committed({change(TaskState::queued)}, state());
  CHECK(tasks == 0);
  waiters.committed({change(TaskState::failed)}, state());
  CHECK(tasks == 1);
  CHECK(batches == 0);
  waiters.committed({BatchEnded{batch}}, state());
  CHECK(tasks == 1);
  CHECK(batches == 1);
}

TEST_CASE("a stream ends with its task") {
  StreamHub hub;
  StreamHub::Listener listener(hub, task, [] {});
  hub.committed({change(TaskState::scheduled)}, state());
  CHECK_FALSE(listener.take().ended);
  hub.committed({change(TaskState::succeeded)}, state());
  CHECK(listener.take().ended);
}

TEST_CASE("a submitter over MQTT is answered once its task has ended") {
  log::Complaints complaints;
  MqttReplies replies(complaints, [] { return limits::payload_bytes; });
  State with = state();
  with.tasks[task].record.id = task;
  with.tasks[task].record.state = TaskState::cancelled;
  for (const char* data : {"one", "two"}) {
    replies.expect("desk");
    replies.when_ended(task, "desk", request(data));
  }
  replies.committed({change(TaskState::queued)}, with);
  CHECK(replies.empty());
  replies.committed({change(TaskState::cancelled)}, with);
  replies.committed({change(TaskState::cancelled)}, with);
  std::vector<std::string> data;
  while (!replies.empty()) {
    const auto message = replies.take(1);
    CHECK(message.topic == "reply");
    CHECK(message.payload.find("cancelled") != std::string::npos);
    data.push_back(message.correlation_data);
  }
  std::sort(data.begin(), data.end());
  CHECK(data == std::vector<std::string>{"one", "two"});
}

TEST_CASE("a submitter whose outcome the broker refuses is told where it is, once") {
  log::Complaints complaints;
  MqttReplies replies(complaints, [] { return limits::payload_bytes; });
  State with = state();
  TaskRecord& record = with.tasks[task].record;
  record.id = task;
  record.state = TaskState::succeeded;
  record.output = '"' + std::string(20'000, 'x') + '"';
  for (const std::uint64_t id : {7U, 8U, 9U}) {
    replies.reply_outcome(request("one"), record);
    CHECK(replies.take(id).id == id);
  }
  replies.on(mqtt::Delivered{true, {}, 0, 7});
  replies.refused(7, "too large");
  CHECK(replies.empty());
  replies.refused(8, "too large");
  REQUIRE_FALSE(replies.empty());
  const auto told = replies.take(10);
  CHECK(told.topic == "reply");
  CHECK(told.correlation_data == "one");
  CHECK(told.payload.find("/api/v1/tasks/" + task.str()) != std::string::npos);
  replies.refused(10, "too large");
  replies.on(mqtt::ConnectionLost{});
  replies.refused(9, "too large");
  CHECK(replies.empty());
}

TEST_CASE("one client that awaits many answers leaves room for others, and has room again when they end") {
  log::Complaints complaints;
  MqttReplies replies(complaints, [] { return limits::payload_bytes; });
  UlidSource ids(1);
  State with = state();
  Changes changes;
  while (!replies.full("greedy")) {
    const TaskId id{ids.next(WallTime{1})};
    with.tasks[id].record.id = id;
    with.tasks[id].record.state = TaskState::succeeded;
    changes.emplace_back(TaskChanged{id, TaskState::running, TaskState::succeeded, 1, {}});
    replies.expect("greedy");
    replies.when_ended(id, "greedy", request(""));
  }
  CHECK(changes.size() == MqttReplies::most_of_one);
  CHECK_FALSE(replies.full("modest"));
  replies.committed(changes, with);
  CHECK_FALSE(replies.full("greedy"));
}

TEST_CASE("beyond a bound on their bytes, answers only say that the outcome can be read") {
  log::Complaints complaints;
  MqttReplies replies(complaints, [] { return limits::payload_bytes; });
  TaskRecord record;
  record.id = task;
  record.state = TaskState::succeeded;
  record.output = '"' + std::string(200'000, 'x') + '"';
  std::size_t whole = 0;
  for (std::size_t i = 0; i < 400; ++i) replies.reply_outcome(request(""), record);
  std::size_t answers = 0;
  for (; !replies.empty(); ++answers) whole += replies.take(1).payload.size();
  CHECK(answers == 400);
  CHECK(whole < MqttReplies::all_bytes + 400'000);
  replies.reply_outcome(request(""), record);
  CHECK(replies.take(1).payload.size() > 200'000);  // there is room again
}

TEST_CASE(
    "answers over MQTT are bounded: over the bound nothing is accepted, and a bounded number of refusals is sent") {
  log::Complaints complaints;
  MqttReplies replies(complaints, [] { return limits::payload_bytes; });
  for (std::size_t i = 0; i < MqttReplies::most; ++i) {
    CHECK_FALSE(replies.full("desk"));
    replies.reply(request(""), "1");
  }
  CHECK(replies.full("desk"));
  for (std::size_t i = 0; i < MqttReplies::most_refusals + 10; ++i) replies.refuse(request(""), Error{"no"});
  std::size_t count = 0;
  for (; !replies.empty(); ++count) (void)replies.take(1);
  CHECK(count == MqttReplies::most + MqttReplies::most_refusals);
  CHECK(complaints.count() == 10);
}
