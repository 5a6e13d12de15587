#include "cli/core/document.hpp"
#include "cli/core/fleet_view.hpp"
#include "cli/core/task_view.hpp"
#include "cli/core/times.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::cli;

namespace {

const Look plain{0, false, WallTime{1763695215000}};  // 2025-11-21 03:20:15

Document document(const char* text) {
  auto parsed = parse_document(text);
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace

TEST_CASE("a task's attempts are shown as a timeline") {
  const auto text =
      show_task(document(R"({"id":"T1","capability":"echo","state":"succeeded","priority":0,"timeout_ms":600000,
    "max_attempts":3,"accepted_at":"2025-11-21T03:20:11.000Z","ended_at":"2025-11-21T03:20:14.300Z","run_ms":50,"output":{"a":1},
    "attempts":[
      {"n":1,"agent":"pi-1","state":"lost","assigned_at":"2025-11-21T03:20:11.004Z","ended_at":"2025-11-21T03:20:13.000Z",
       "error":{"code":"agent_lost","message":"its will came","retryable":true}},
      {"n":2,"agent":"pi-2","state":"succeeded","assigned_at":"2025-11-21T03:20:13.010Z","started_at":"2025-11-21T03:20:13.020Z",
       "ended_at":"2025-11-21T03:20:14.300Z"}]})"),
                plain);
  CHECK(text ==
        "T1  succeeded\n"
        "  capability  echo\n"
        "  priority    0\n"
        "  timeout     10 min per attempt, at most 3 attempts\n"
        "  accepted    " +
            show_instant(WallTime{1763695211000}) +
            " (4 s ago)\n"
            "  run         50 ms\n"
            "timeline\n"
            "         +0 ms  accepted\n"
            "         +4 ms  attempt 1 assigned to pi-1\n"
            "        +2.0 s  attempt 1 lost: agent_lost: its will came\n"
            "        +2.0 s  attempt 2 assigned to pi-2\n"
            "        +2.0 s  attempt 2 started\n"
            "        +3.3 s  attempt 2 succeeded\n"
            "        +3.3 s  succeeded\n"
            "output\n"
            "{\n  \"a\": 1\n}\n");
}

TEST_CASE("a waiting task is shown with the coordinator's reason") {
  const auto task =
      document(R"({"id":"T1","state":"queued","ahead":1200,"waiting":"3 agents offer echo, all paused for heat"})");
  CHECK(task_status(task) == "queued, 1,200 ahead of it: 3 agents offer echo, all paused for heat");
  CHECK(show_task(task, plain).find("  now         queued, 1,200 ahead of it") != std::string::npos);
}

TEST_CASE("a running task is shown with its agent") {
  CHECK(task_status(document(R"({"state":"running","attempts":[{"n":1,"agent":"pi-1"},{"n":2,"agent":"pi-2"}]})")) ==
        "running on pi-2 (attempt 2)");
}

TEST_CASE("the outcome of a task is one line") {
  CHECK(task_outcome(document(
            R"({"state":"failed","attempts":[{"n":1},{"n":2}],"error":{"code":"timed_out","message":"no end"}})")) ==
        "failed after 2 attempts: timed_out: no end");
  CHECK(task_outcome(document(R"({"state":"succeeded","run_ms":1234,"attempts":[{"n":1,"agent":"pi-1"}]})")) ==
        "succeeded on pi-1, ran 1.2 s");
}

TEST_CASE("an acceptance shows the place in the queue and the number of agents") {
  CHECK(show_acceptance(document(R"({"id":"T","state":"queued","ahead":3,"eligible_agents":1})")) ==
        "queued, 3 ahead of it; 1 agent can take it");
  CHECK(show_acceptance(
            document(R"({"id":"T","state":"queued","ahead":0,"eligible_agents":0,"waiting":"no agent offers a.b"})")) ==
        "queued; no agent can take it now; waiting: no agent offers a.b");
  for (const std::string state : {"running", "succeeded", "failed", "cancelling"}) {
    const auto answer = R"({"id":"T","state":")" + state + R"(","ahead":0,"eligible_agents":0})";
    CHECK(show_acceptance(document(answer.c_str())) == state);
  }
}

TEST_CASE("slots that heat has closed are not busy, and tasks beyond the slots are not counted twice") {
  const auto text = show_agents(document(R"({"agents":[
    {"name":"pi-1","state":"online","executors":[{"name":"image","capabilities":["image.a","image.b","image.c"],"slots":4,"free":0}],
     "celsius":61.34,"trend_per_minute":1.83,"policy":"normal","tasks":9,"last_heartbeat_ms":2300,"throttled":["undervoltage since boot"]},
    {"name":"pi-2","state":"overheated","executors":[{"name":"echo","capabilities":["echo"],"slots":4,"free":0,"problem":"too hot"}],
     "celsius":79,"trend_per_minute":-0.5,"policy":"paused","tasks":0,"last_heartbeat_ms":100,"sensor_problem":"sensor x is missing",
     "throttled":["throttled now","throttled since boot"]}]})"),
                                plain);
  CHECK(text ==
        "NAME  STATE       BUSY    TEMP  C/MIN  POLICY  TASKS  BEAT      CAPABILITIES\n"
        "pi-1  online       4/4  61.3 C   +1.8  normal      9  2 s ago   image.* (3)\n"
        "pi-2  overheated   0/4  79.0 C   -0.5  paused      0  just now  echo\n"
        "pi-2: sensor x is missing\n"
        "pi-2: its firmware reports: throttled now\n"
        "pi-2: echo: too hot\n");
}

TEST_CASE("the queue shows which tasks wait, and why") {
  const auto text =
      show_queue(document(R"({"queues":[{"capability":"echo","where":{},"queued":1200,"running":4,"eligible_agents":2},
    {"capability":"a.b","where":{"board":"pi4"},"queued":1,"running":0,"eligible_agents":0,"waiting":"no agent offers a.b"}],
    "queued":1201,"running":4})"),
                 plain);
  CHECK(text ==
        "CAPABILITY  WHERE      QUEUED  RUNNING  AGENTS\n"
        "echo                    1,200        4       2\n"
        "a.b         board=pi4       1        0       0\n"
        "a.b (board=pi4) waits: no agent offers a.b\n"
        "1,201 queued, 4 running\n");
}

TEST_CASE("answers with missing or unexpected members are shown as far as possible") {
  for (
      const char* text :
      {"{}", R"({"tasks":7,"agents":"x","queues":null})", R"({"tasks":[1,"x",null],"agents":[[]],"queues":[{}]})",
       R"({"id":5,"state":[],"attempts":{"a":1},"executors":[{"slots":-4,"free":99}],"error":"x","accepted_at":"y"})"}) {
    CAPTURE(text);
    const auto answer = document(text);
    CHECK_NOTHROW(show_tasks(answer, plain));
    CHECK_NOTHROW(show_task(answer, plain));
    CHECK_NOTHROW(show_agents(answer, plain));
    CHECK_NOTHROW(show_agent(answer, plain));
    CHECK_NOTHROW(show_queue(answer, plain));
    CHECK_NOTHROW(show_acceptance(answer));
    CHECK_NOTHROW(task_outcome(answer));
    CHECK_NOTHROW(batch_counts(answer));
  }
  CHECK_FALSE(parse_document("[]"));
  CHECK_FALSE(parse_document("<html>"));
}

TEST_CASE("control characters in an output are escaped") {
  CHECK(pretty(document("{\"a\":\"x\xC2\x9By\"}")) == "{\n  \"a\": \"x\\u009by\"\n}");
}

TEST_CASE("the counts of a batch are parsed") {
  const auto counts = batch_counts(
      document(R"({"id":"B","total":10,"counts":{"queued":1,"assigned":2,"running":3,"succeeded":3,"failed":1}})"));
  CHECK(counts == BatchCounts{.total = 10, .running = 5, .succeeded = 3, .failed = 1});
}
