#include "cli/core/capabilities.hpp"
#include "cli/core/document.hpp"
#include "cli/core/error_counts.hpp"
#include "cli/core/fleet_view.hpp"
#include "cli/core/status_view.hpp"
#include "cli/core/table.hpp"
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
    "max_attempts":3,"accepted_at":"2025-11-21T03:20:11.000Z","ended_at":"2025-11-21T03:20:14.300Z","run_ms":50,
    "attempts":[
      {"n":1,"agent":"pi-1","state":"lost","assigned_at":"2025-11-21T03:20:11.004Z","ended_at":"2025-11-21T03:20:13.000Z",
       "error":{"code":"agent_lost","message":"its will came","retryable":true}},
      {"n":2,"agent":"pi-2","state":"succeeded","assigned_at":"2025-11-21T03:20:13.010Z","started_at":"2025-11-21T03:20:13.020Z",
       "ended_at":"2025-11-21T03:20:14.300Z"}]})"),
                R"({"a":1})", plain);
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
  CHECK(task_status(task) == "queued, about 1,200 ahead of it: 3 agents offer echo, all paused for heat");
  CHECK(show_task(task, {}, plain).find("  now         queued, about 1,200 ahead of it") != std::string::npos);
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
        "queued, about 3 ahead of it; 1 agent can take it");
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
        "pi-2: echo is out of service: too hot\n");
}

TEST_CASE("agents are sorted, numbers as numbers, and those that are gone are listed apart without their problems") {
  const auto text = show_agents(document(R"({"agents":[
    {"name":"pi-10","state":"online"},{"name":"pi-9","state":"online","drained":true},
    {"name":"pi-2","state":"lost","since":"2025-11-21T03:20:11.000Z","sensor_problem":"x",
     "executors":[{"name":"echo","capabilities":["echo"],"slots":1,"problem":"too hot"}]},
    {"name":"pi-1","state":"offline","since":"2025-11-21T03:20:05.000Z"}]})"),
                                plain);
  CHECK(text ==
        "NAME   STATE     BUSY  TASKS\n"
        "pi-9   draining   0/0      0\n"
        "pi-10  online     0/0      0\n"
        "\n"
        "GONE  STATE    SINCE     TASKS  OFFERED\n"
        "pi-1  offline  10 s ago      0\n"
        "pi-2  lost     4 s ago       0  echo\n");
  CHECK(show_agents(document(R"({"agents":[{"name":"pi-1","state":"lost"}]})"), plain)
            .starts_with("no agent is connected\n"));
}

TEST_CASE("names are in the order of people") {
  CHECK(natural_less("pi-2", "pi-10"));
  CHECK_FALSE(natural_less("pi-10", "pi-2"));
  CHECK(natural_less("a", "ab"));
  CHECK_FALSE(natural_less("ab", "a"));
  CHECK(natural_less("pi-02", "pi-2"));
  CHECK_FALSE(natural_less("pi-2", "pi-02"));
  CHECK_FALSE(natural_less("pi-2", "pi-2"));
  CHECK(natural_less("1", "x"));
  CHECK(natural_less("pi-99999999999999999999998", "pi-99999999999999999999999"));
}

TEST_CASE("the answer to a drain has the new state, and what still runs") {
  CHECK(show_drained(document(R"({"name":"pi-1","state":"draining","drained":true,"tasks":2})"), plain) ==
        "pi-1  draining; 2 tasks that it has go on");
  CHECK(show_drained(document(R"({"name":"pi-1","state":"online","drained":false,"tasks":2})"), plain) ==
        "pi-1  online");
  CHECK(show_drained(document(R"({"name":"pi-1","state":"lost","drained":true,"tasks":0})"), plain) ==
        "pi-1  lost, drained");
}

TEST_CASE("what an agent reports about its configuration is shown with the agent, and a bad one is a problem") {
  const auto good = document(R"({"name":"pi-1","state":"online","config":{"reloads":2,"changes":"added command-a",
    "restart":"broker"}})");
  CHECK(show_reload(good, plain) == "pi-1  added command-a; needs a restart: broker");
  CHECK(reload_of(good).reloads == 2);
  CHECK(problems_of_agent(good).empty());
  CHECK(show_agent(good, plain).find("read again 2 times; the last time: added command-a; needs a restart: broker") !=
        std::string::npos);
  CHECK(show_reload(document(R"({"name":"pi-1","config":{"reloads":1}})"), plain) == "pi-1  nothing has changed");
  const auto bad = document(R"({"name":"pi-1","state":"online","config":{"reloads":1,"problem":"line 3: x"}})");
  CHECK(reload_of(bad).problem == "line 3: x");
  CHECK(problems_of_agent(bad) == std::vector<std::string>{"pi-1: its new configuration is not in use: line 3: x"});
  CHECK(show_agent(document(R"({"name":"pi-1","config":{"reloads":0}})"), plain).find("config") == std::string::npos);
}

TEST_CASE("the status is a page: the coordinator, the agents by state, what waits, what is out of service") {
  FleetAnswers answers;
  answers.ready = document(R"({"store":true,"broker":false,"notice":"the disk is nearly full"})");
  answers.agents = document(R"({"agents":[{"name":"pi-1","state":"online",
    "executors":[{"name":"echo","problem":"too hot"}]},{"name":"pi-2","state":"lost"},{"name":"pi-3","state":"online"}]})");
  answers.queue =
      document(R"({"queued":3,"running":1,"queues":[{"capability":"echo","queued":3,"waiting":"all are busy"},
    {"capability":"other","queued":0,"running":1}]})");
  CHECK(show_status("http://x", answers, plain) ==
        "coordinator  http://x  it has no connection to the broker\n"
        "             the disk is nearly full\n"
        "agents       1 lost, 2 online\n"
        "tasks        3 queued, 1 running\n"
        "             3 echo: all are busy\n"
        "pi-1: echo is out of service: too hot\n");
  CHECK_FALSE(works(answers.ready));
  CHECK(works(document(R"({"store":true,"broker":true})")));
}

TEST_CASE("capabilities are a table, and one that nobody offers gets the nearest name and the list") {
  const auto offered = document(R"({"capabilities":[{"name":"echo","agents":3,"online":2,"slots":8,"free":7},
    {"name":"image.blur","agents":1,"online":1,"slots":1,"free":0,"parameters":{"type":"object","required":["radius"],
     "properties":{"radius":{"type":"number","minimum":0,"maximum":64},"format":{"enum":["jpeg","png"]}}}},
    {"name":"of.the.gone","agents":1,"online":0,"slots":0,"free":0}]})");
  CHECK(show_capabilities(offered, plain) ==
        "CAPABILITY  AGENTS  SLOTS  FREE\n"
        "echo             2      8     7\n"
        "image.blur       1      1     0\n");
  CHECK(show_capability(offered, "echo", plain).find("image.blur") == std::string::npos);
  CHECK(show_capability(offered, "image.blur", plain) ==
        "CAPABILITY  AGENTS  SLOTS  FREE\n"
        "image.blur       1      1     0\n"
        "\n"
        "PARAMETER  TYPE    REQUIRED  VALUES\n"
        "radius     number  yes       0 to 64\n"
        "format                       jpeg, png\n");
  CHECK(if_nobody_offers(offered, "echo").empty());
  CHECK(if_nobody_offers(offered, "image.blurr") ==
        "no connected agent offers image.blurr; did you mean image.blur? Offered are: echo, image.blur");
  CHECK(if_nobody_offers(offered, "llm.chat") == "no connected agent offers llm.chat; offered are: echo, image.blur");
  CHECK(if_nobody_offers(document("{}"), "echo") == "no connected agent offers echo, or anything else");
}

TEST_CASE("the errors of many tasks are grouped, the most frequent first") {
  ErrorCounts counts;
  counts.add(document(R"({"tasks":[{"error":{"code":"a","message":"1"}},{"error":{"code":"b","message":"2"}},
    {"error":{"code":"b","message":"2"}},{"state":"failed"}]})"));
  CHECK(counts.lines() == std::vector<std::string>{"  2 x b: 2", "  1 x a: 1"});
}

TEST_CASE("a table never exceeds the width of a terminal") {
  Table table{{{"ID"}, {"STATE"}, {"CAPABILITY", false, true}, {"N", true}},
              {{"01ARZ3NDEKTSV4RRFFQ69G5FAV", "succeeded", "image.some-very-long-name", "12345"}}};
  for (int width = 1; width <= 90; ++width) {
    CAPTURE(width);
    const auto text = render(table, {width, false, {}});
    std::size_t begin = 0;
    for (auto end = text.find('\n'); end != std::string::npos; begin = end + 1, end = text.find('\n', begin)) {
      CHECK(width_of(text.substr(begin, end - begin)) <= static_cast<std::size_t>(width));
    }
  }
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
    CHECK_NOTHROW(show_task(answer, {}, plain));
    CHECK_NOTHROW(show_agents(answer, plain));
    CHECK_NOTHROW(show_agent(answer, plain));
    CHECK_NOTHROW(show_queue(answer, plain));
    CHECK_NOTHROW(show_status("", {answer, answer, answer}, plain));
    CHECK_NOTHROW(show_capabilities(answer, plain));
    CHECK_NOTHROW(if_nobody_offers(answer, "echo"));
    CHECK_NOTHROW(show_drained(answer, plain));
    CHECK_NOTHROW(show_reload(answer, plain));
    CHECK_NOTHROW(ErrorCounts().add(answer));
    CHECK_NOTHROW(show_acceptance(answer));
    CHECK_NOTHROW(task_outcome(answer));
    CHECK_NOTHROW(batch_counts(answer));
  }
  CHECK_FALSE(parse_document("[]"));
  CHECK_FALSE(parse_document("<html>"));
}

TEST_CASE("control characters in an output are escaped") {
  CHECK(pretty("{\"a\":\"x\xC2\x9By\"}") == "{\n  \"a\": \"x\\u009by\"\n}");
}

TEST_CASE("an output is indented without a change of its values") {
  CHECK(pretty(R"( {"n":1e400,"n" : 1.10,"s":"a\"},:[\\","l":[[],{ },-0]} )") == R"({
  "n": 1e400,
  "n": 1.10,
  "s": "a\"},:[\\",
  "l": [
    [],
    {},
    -0
  ]
})");
  CHECK(pretty("12345678901234567890123") == "12345678901234567890123");
}

TEST_CASE("an answer is read whatever values a task has in it") {
  const auto answer = document(
      R"({"state":"succeeded","output":{"x":1e400,"y":[1e400,-1e999]},"run_ms":0.5,"n":-3,"f":true,"z":null})");
  CHECK(text_of(answer, "state") == "succeeded");
  CHECK(text_of(member_of(answer, "output"), "x") == "1e400");
  CHECK(member_of(answer, "output")["y"] == Document{"1e400", "-1e999"});
  CHECK(number_of(answer, "run_ms") == 0.5);
  CHECK(number_of(answer, "n") == -3);
  CHECK(flag_of(answer, "f"));
  CHECK(member_of(answer, "z").is_null());
}

TEST_CASE("a member is shown with the digits that it has") {
  const std::string_view body = R"({"output": {"id":12345678901234567890123, "a":1,"a":2},"state":"succeeded"})";
  CHECK(text_of_member(body, "output") == R"({"id":12345678901234567890123, "a":1,"a":2})");
  CHECK(text_of_member(body, "error").empty());
  CHECK(text_of_member("<html>", "output").empty());
}

TEST_CASE("the counts of a batch are parsed") {
  const auto counts = batch_counts(
      document(R"({"id":"B","total":10,"counts":{"queued":1,"assigned":2,"running":3,"succeeded":3,"failed":1}})"));
  CHECK(counts == BatchCounts{.total = 10, .running = 5, .succeeded = 3, .failed = 1});
}
