#include "coordinator/views/views.hpp"
#include "coordinator/views/capabilities.hpp"

#include <nlohmann/json.hpp>

#include "common/system/clock.hpp"
#include "coordinator/views/capabilities.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

TaskRecord ended_task() {
  TaskRecord r;
  r.id = TaskId{Ulid{5, 1}};
  r.spec.capability = *Capability::parse("work");
  r.spec.input = R"({"a":1.10})";
  r.spec.name = "a \"name\"\n\U0001F9E0";
  r.spec.where = {{"room", "cellar"}};
  r.batch = BatchId{Ulid{4, 1}};
  r.state = TaskState::failed;
  r.accepted_at = WallTime{1'769'860'800'007};
  r.ended_at = WallTime{1'769'860'801'000};
  r.error = TaskError{"no_memory", "it is full", true, 2s};
  r.usage = R"({"tokens":42})";
  r.run = 1500us;
  Attempt attempt;
  attempt.agent = *AgentName::parse("pi-1");
  attempt.state = AttemptState::failed;
  attempt.assigned_at = r.accepted_at;
  attempt.error = r.error;
  r.attempts = {attempt};
  return r;
}

}  // namespace

TEST_CASE("a time is shown in UTC with milliseconds") {
  CHECK(rfc3339(WallTime{0}) == "1970-01-01T00:00:00.000Z");
  CHECK(rfc3339(WallTime{1'769'860'800'007}) == "2026-01-31T12:00:00.007Z");
  CHECK(rfc3339(WallTime{1'709'251'199'999}) == "2024-02-29T23:59:59.999Z");
}

TEST_CASE("a task is shown with all its fields") {
  const TaskRecord r = ended_task();
  const auto view = Json::parse(task_view(r));
  CHECK(view == Json{{"id", r.id.str()},
                     {"capability", "work"},
                     {"name", r.spec.name},
                     {"state", "failed"},
                     {"priority", 0},
                     {"batch", r.batch->str()},
                     {"where", {{"room", "cellar"}}},
                     {"timeout_ms", 600'000},
                     {"max_attempts", 3},
                     {"accepted_at", "2026-01-31T12:00:00.007Z"},
                     {"ended_at", "2026-01-31T12:00:01.000Z"},
                     {"error", view.at("attempts")[0].at("error")},
                     {"usage", {{"tokens", 42}}},
                     {"run_ms", 1.5},
                     {"attempts", view.at("attempts")},
                     {"input", {{"a", 1.10}}}});
  const auto& attempt = view.at("attempts").at(0);
  CHECK(attempt.at("agent") == "pi-1");
  CHECK(attempt.at("state") == "failed");
  CHECK_FALSE(attempt.contains("started_at"));
  CHECK(attempt.at("error") ==
        Json{{"code", "no_memory"}, {"message", "it is full"}, {"retryable", true}, {"retry_after_ms", 2000}});
}

TEST_CASE("input and output are shown as they came, byte for byte") {
  TaskRecord r = ended_task();
  r.spec.input = R"({"b":1.10,"a":1E2,"b":12345678901234567890})";
  r.output = R"([ "\u0000" ])";
  const std::string view = task_view(r);
  CHECK(view.find("\"input\":" + r.spec.input) != std::string::npos);
  CHECK(view.find("\"output\":" + r.output) != std::string::npos);
}

TEST_CASE("an input or output that is a file is shown with its place") {
  TaskRecord r = ended_task();
  r.spec.input_at = TextFile{"sha256-in", 300'000, {"sha256-named"}};
  r.spec.input = "null";
  r.output_at = TextFile{"sha256-out", 400'000, {}};
  r.output.clear();
  const auto linked = Json::parse(task_view(r));
  CHECK(linked.at("input_at") ==
        Json{{"artifact", "sha256-in"}, {"bytes", 300'000}, {"url", "/api/v1/artifacts/sha256-in"}});
  CHECK(linked.at("output_at").at("artifact") == "sha256-out");
  CHECK_FALSE(linked.contains("input"));
  CHECK_FALSE(linked.contains("output"));
  CHECK(Json::parse(task_view(r, {{}, 0, {}, "it is gone"})).at("output_problem") == "it is gone");
  r.output = "[1]";
  CHECK(Json::parse(task_view(r)).at("output") == Json{1});
  CHECK(Json::parse(outcome_view(r, 100)).at("status") == 413);
  CHECK(Json::parse(outcome_view(r)).at("output_at").at("bytes") == 400'000);
}

TEST_CASE("an unfinished task is shown with the reason why it waits, and with its progress") {
  TaskRecord r;
  r.run = 5s;  // of an earlier attempt
  const auto plain = Json::parse(task_view(r));
  for (const char* absent :
       {"name", "batch", "where", "ended_at", "error", "usage", "run_ms", "output", "ahead", "waiting", "progress"}) {
    CHECK_FALSE(plain.contains(absent));
  }
  UnfinishedDetails details{"no agent offers work", 7, TaskProgress{"half", 50, 1U, 2U, monotonic_now() - 3s}};
  const auto view = Json::parse(task_view(r, details));
  CHECK(view.at("waiting") == "no agent offers work");
  CHECK(view.at("ahead") == 7);
  CHECK(view.at("progress").at("text") == "half");
  CHECK(view.at("progress").at("percent") == 50);
  CHECK(view.at("progress").at("completed_bytes") == 1);
  CHECK(view.at("progress").at("total_bytes") == 2);
  CHECK(view.at("progress").at("age_ms") >= 3000);
}

TEST_CASE("an outcome for a submitter over MQTT has no input, and fits a message or says where it can be read") {
  TaskRecord r = ended_task();
  r.output = R"("done")";
  const auto small = Json::parse(outcome_view(r));
  CHECK(small.at("output") == "done");
  CHECK_FALSE(small.contains("input"));
  const std::size_t rest = outcome_view(r).size() - r.output.size();
  r.output = '"' + std::string(limits::payload_bytes - rest - 2, 'x') + '"';
  CHECK(outcome_view(r).size() == limits::payload_bytes);
  CHECK(Json::parse(outcome_view(r)).at("output").get<std::string>().size() == limits::payload_bytes - rest - 2);
  r.output.insert(1, "x");
  const auto problem = Json::parse(outcome_view(r));
  CHECK(problem.at("status") == 413);
  CHECK(problem.at("detail").get<std::string>().find("GET /api/v1/tasks/" + r.id.str()) != std::string::npos);
}

TEST_CASE("a full page of tasks names the id after which the next page starts") {
  std::vector<TaskRecord> records = {ended_task(), ended_task()};
  records[1].id = TaskId{Ulid{5, 0}};
  const auto no_progress = [](const TaskRecord&) { return std::optional<TaskProgress>{}; };
  const auto full = Json::parse(tasks_view(records, 2, no_progress));
  CHECK(full.at("tasks").size() == 2);
  CHECK(full.at("next") == records[1].id.str());
  CHECK_FALSE(full.at("tasks")[0].contains("input"));
  CHECK_FALSE(Json::parse(tasks_view(records, 3, no_progress)).contains("next"));
  CHECK(Json::parse(tasks_view({}, 3, no_progress)) == Json{{"tasks", Json::array()}});
}

TEST_CASE("a batch is shown with a count for each state, and with how many of its tasks were purged") {
  BatchRecord batch;
  batch.total = 10;
  std::array<std::size_t, task_state_count> counts{};
  counts[static_cast<std::size_t>(TaskState::succeeded)] = 6;
  counts[static_cast<std::size_t>(TaskState::queued)] = 1;
  const auto view = Json::parse(batch_view(batch, counts));
  CHECK(view.at("total") == 10);
  CHECK(view.at("purged") == 3);
  CHECK(view.at("counts").size() == task_state_count);
  CHECK(view.at("counts").at("succeeded") == 6);
  CHECK(view.at("counts").at("expired") == 0);
  counts[static_cast<std::size_t>(TaskState::failed)] = 3;
  CHECK_FALSE(Json::parse(batch_view(batch, counts)).contains("purged"));
}

TEST_CASE("an agent is shown with its executors, its tasks and the age of its heartbeat") {
  test::Conversation talk;
  talk.join("pi-1", "life", 2);
  const TaskId id = talk.submit();
  talk.pass(1s);
  const auto view = Json::parse(agent_view(talk.state, talk.state.agents.front(), talk.now, true));
  CHECK(view.at("name") == "pi-1");
  CHECK(view.at("state") == "online");
  CHECK(view.at("session") == "life");
  CHECK(view.at("drained") == false);
  CHECK(view.at("placeable") == true);
  CHECK(view.at("throttled") == Json::array());
  CHECK(view.at("tasks") == 1);
  CHECK(view.at("last_heartbeat_ms") == 1000);
  CHECK(view.at("executors").at(0) == Json{{"name", "main"}, {"capabilities", {"work"}}, {"slots", 2}, {"free", 1}});
  CHECK(view.at("running").at(0) ==
        Json{{"id", id.str()}, {"attempt", 1}, {"capability", "work"}, {"phase", "assigned"}});
  CHECK_FALSE(Json::parse(agent_view(talk.state, talk.state.agents.front(), talk.now, false)).contains("running"));
}

TEST_CASE("an agent is shown with its machine as it is now, and what it has done") {
  test::Conversation talk;
  AgentInfo info = talk.info("life", 1);
  info.address = "10.0.0.7";
  info.gpus = {{"RTX", 8ULL << 30U}, {"v3d", 0}};
  talk.receive(AgentInfoSeen{test::agent("pi-1"), info});
  talk.receive(AgentStatusSeen{test::agent("pi-1"), {AgentState::online, test::session("life")}, false});
  const auto shown = [&] { return Json::parse(agent_view(talk.state, talk.state.agents.front(), talk.now, false)); };
  CHECK_FALSE(shown().contains("since"));
  CHECK(shown().at("gpus") == Json{{{"name", "RTX"}, {"memory_bytes", 8589934592}}, {{"name", "v3d"}}});
  auto beat = talk.heartbeat("life", 1, {}, 0);
  beat.uptime = 3h;
  beat.status_for = 2h;
  beat.succeeded = 12;
  beat.failed = 3;
  beat.free_memory_bytes = 5;
  beat.free_disk_bytes = 6;
  beat.gpu_celsius = {61.5, std::nullopt};
  talk.receive(HeartbeatSeen{test::agent("pi-1"), beat});
  const auto view = shown();
  CHECK(view.at("address") == "10.0.0.7");
  CHECK(view.at("uptime_ms") == to_ms(3h));
  CHECK(view.at("succeeded") == 12);
  CHECK(view.at("failed") == 3);
  CHECK(view.at("free_memory_bytes") == 5);
  CHECK(view.at("free_disk_bytes") == 6);
  CHECK(view.at("gpus").at(0).at("celsius") == 61.5);
  CHECK_FALSE(view.at("gpus").at(1).contains("celsius"));
  CHECK(view.at("since") == rfc3339(WallTime{talk.now.wall.unix_ms - to_ms(2h)}));
}

TEST_CASE("capabilities are listed with their agents, slots and the most frequent description") {
  test::Conversation talk;
  const std::string old_digest(32, 'a');
  const std::string new_digest(32, 'b');
  const auto join = [&](const std::string& name, const std::string& digest, AgentState state) {
    AgentInfo info = talk.info(name, 2);
    info.executors.front().parameters[test::capability("work")] = digest;
    info.executors.push_back(info.executors.front());
    info.executors.back().name = test::executor_name("second");
    info.executors.back().capabilities.push_back(test::capability("other"));
    talk.receive(AgentInfoSeen{test::agent(name), info});
    talk.receive(AgentStatusSeen{test::agent(name), {state, test::session(name)}});
  };
  CHECK(Json::parse(capabilities_view(talk.state)) == Json{{"capabilities", Json::array()}});
  join("pi-1", old_digest, AgentState::online);
  join("pi-2", new_digest, AgentState::online);
  join("pi-3", new_digest, AgentState::lost);
  talk.state.parameters.known[old_digest] = R"({"old":1})";
  talk.state.parameters.known[new_digest] = R"({"new":1})";
  const auto all = Json::parse(capabilities_view(talk.state)).at("capabilities");
  REQUIRE(all.size() == 2);
  CHECK(all[0] == Json{{"name", "other"}, {"agents", 3}, {"online", 2}, {"slots", 4}, {"free", 0}});
  CHECK(all[1] == Json{{"name", "work"},
                       {"agents", 3},
                       {"online", 2},
                       {"slots", 8},
                       {"free", 0},
                       {"parameters", {{"new", 1}}},
                       {"variants", 2}});
}

TEST_CASE("agents come in parts that, with commas between them, are one list") {
  test::Conversation talk;
  for (const char* name : {"pi-1", "pi-2", "pi-3"}) talk.join(name, name);
  const auto first = agents_part(talk.state, talk.now, 0, 2);
  CHECK(first.more);
  const auto last = agents_part(talk.state, talk.now, 2, 2);
  CHECK_FALSE(last.more);
  const auto all = Json::parse("[" + first.elements + "," + last.elements + "]");
  REQUIRE(all.size() == 3);
  CHECK(all[2].at("name") == "pi-3");
  CHECK(agents_part(talk.state, talk.now, 3, 2).elements.empty());
}

TEST_CASE("the queue shows the longest line first, why it waits, and the totals of all lines") {
  test::Conversation talk;
  talk.join("pi-1", "life", 1);
  talk.submit("work");
  for (int i = 0; i < 3; ++i) talk.submit("other");
  const auto view = Json::parse(queue_view(talk.state));
  CHECK(view.at("queued") == 3);
  CHECK(view.at("running") == 1);
  REQUIRE(view.at("queues").size() == 2);
  const auto& other = view.at("queues")[0];
  CHECK(other.at("capability") == "other");
  CHECK(other.at("queued") == 3);
  CHECK(other.at("eligible_agents") == 0);
  CHECK_FALSE(other.at("waiting").get<std::string>().empty());
  const auto& work = view.at("queues")[1];
  CHECK(work.at("running") == 1);
  CHECK_FALSE(work.contains("waiting"));
  CHECK_FALSE(view.contains("held"));
}

TEST_CASE("the queue shows a bounded number of lines, and counts the others") {
  test::Conversation talk;
  for (std::size_t i = 0; i < most_queue_lines + 5; ++i) talk.submit("work-" + std::to_string(i));
  const auto view = Json::parse(queue_view(talk.state));
  CHECK(view.at("queues").size() == most_queue_lines);
  CHECK(view.at("more") == 5);
  CHECK(view.at("queued") == most_queue_lines + 5);
}

TEST_CASE("the queue shows tasks that are held after a restore, with advice") {
  test::Conversation talk;
  talk.state.on_hold.insert(TaskId{Ulid{5, 1}});
  const auto view = Json::parse(queue_view(talk.state));
  CHECK(view.at("held") == 1);
  CHECK(view.at("notice").get<std::string>().find("edgefleet release") != std::string::npos);
  CHECK(held_notice(2).starts_with("2 tasks are"));
}

TEST_CASE("free slots of a capability are those that can take a task at once") {
  test::Conversation c;
  c.join("pi-1", "a", 4);
  c.join("pi-2", "b", 2);
  const auto one = [&c] { return Json::parse(capabilities_view(c.state)).at("capabilities").at(0); };
  CHECK(one() == Json{{"name", "work"}, {"agents", 2}, {"online", 2}, {"slots", 6}, {"free", 6}});
  c.submit();
  CHECK(one().at("free") == 5);
  AgentInfo broken = c.info("b", 2);
  broken.executors[0].problem = "too hot";
  c.receive(AgentInfoSeen{*AgentName::parse("pi-2"), broken});
  CHECK(one().at("slots") == 4);
  c.receive(AgentStatusSeen{*AgentName::parse("pi-2"), {AgentState::lost, *SessionId::parse("b")}});
  CHECK(one().at("online") == 1);
}
