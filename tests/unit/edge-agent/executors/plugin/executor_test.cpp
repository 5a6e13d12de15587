#include "edge-agent/executors/plugin/executor.hpp"

#include <future>

#include "common/system/clock.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/executors/support.hpp"

namespace edgefleet::agent::test {
namespace {

// Shared by the fake plug-ins: `say`, and `tasks`, which yields (task, answer) and keeps cancels in `cancelled`.
constexpr const char* prelude = R"(
import json, os, sys, threading, time
def say(**message):
    sys.stdout.write(json.dumps(message) + "\n"); sys.stdout.flush()
def hello(*capabilities, slots=1):
    say(type="hello", protocol=1, name="fake", version="1", capabilities=list(capabilities), slots=slots)
def messages():
    while True:
        line = sys.stdin.readline()
        if not line: return
        yield json.loads(line)
def key(m): return dict(id=m["id"], attempt=m["attempt"])
def result(m, **rest): say(type="result", **key(m), **rest)
def touch(name): open(os.environ["TEST_DIR"] + "/" + name, "w").write(str(os.getpid()) + "\n")
)";

PluginTimes quick() {
  PluginTimes times;
  times.cancel = 300ms;
  times.close = 2s;
  times.terminate = 200ms;
  times.broken = 200ms;
  return times;
}

// A bench with one plug-in.
struct PluginBench : Bench {
  explicit PluginBench(const std::string& script, PluginTimes times = quick(), Duration restart = 20ms,
                       std::stop_token at_once = {})
      : executor(std::make_unique<PluginExecutor>(config(script, restart), with(std::move(at_once)), times)) {
    executor->start([this](ExecutorInfo info) {
      const std::lock_guard lock(mutex);
      offers.push_back(std::move(info));
    });
  }

  ProcessServices with(std::stop_token at_once) const {
    ProcessServices all = services;
    all.at_once = std::move(at_once);
    return all;
  }

  PluginConfig config(const std::string& script, Duration restart) const {
    write_file(dir / "fake.py", prelude + script);
    PluginSettings settings;
    settings.name = "fake";
    settings.argv = {"python3", "-S", dir / "fake.py"};
    settings.env["TEST_DIR"] = dir.path();
    auto checked = PluginConfig::check(settings).value();
    checked.restart = {restart, restart};
    return checked;
  }

  ExecutorInfo offer() const {
    const std::lock_guard lock(mutex);
    return offers.back();
  }
  bool up() const {
    return eventually([&] { return offer().problem.empty() && !offer().capabilities.empty(); });
  }
  bool down(const std::string& problem) const {
    return eventually([&] {
      const std::lock_guard lock(mutex);
      for (const auto& info : offers) {
        if (info.problem.find(problem) != std::string::npos) return true;
      }
      return false;
    });
  }
  std::future<RunOutcome> start(const std::string& input = "null", Duration timeout = 30s,
                                const std::stop_token& stop = {}, int number = 1) {
    const auto see = [this](const Progress& progress) {
      const std::lock_guard lock(mutex);
      seen.push_back(progress);
    };
    // The pointer itself is copied here: a test may reset it during the run.
    return std::async(std::launch::async, [=, plugin = executor.get()] {
      return plugin->run(job("fake.it", input, timeout, number), stop, see);
    });
  }
  RunOutcome run(const std::string& input = "null", Duration timeout = 30s, const std::stop_token& stop = {},
                 int number = 1) {
    return start(input, timeout, stop, number).get();
  }
  bool touched(const std::string& name) const {
    return eventually([&] { return read_pid(dir / name) > 0; });
  }

  mutable std::mutex mutex;
  std::vector<ExecutorInfo> offers;
  std::vector<Progress> seen;
  std::unique_ptr<PluginExecutor> executor;  // last: it calls back
};

std::string code(const RunOutcome& outcome) { return outcome.error ? outcome.error->code : "none"; }
std::string message(const RunOutcome& outcome) { return outcome.error ? outcome.error->message : "none"; }
bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const std::string echo = R"(
hello("fake.it", slots=2)
for m in messages():
    if m["type"] == "task": result(m, output=m["input"])
)";

TEST_CASE("a plug-in offers the capabilities of its hello, and runs tasks") {
  PluginBench bench(echo);
  REQUIRE(bench.up());
  CHECK(bench.offer().capabilities.front().str() == "fake.it");
  CHECK(bench.offer().slots == 2);
  CHECK(bench.offer().problem.empty());
  const auto outcome = bench.run("{\"a\":\n[1,2]}");
  CHECK(code(outcome) == "none");
  CHECK(outcome.output == R"({"a":[1,2]})");
  CHECK(bench.scratches() == 0);
}

TEST_CASE("a large input and a large output are passed on") {
  PluginBench bench(echo);
  REQUIRE(bench.up());
  const std::string input = json::quoted(std::string(limits::input_bytes - 2, 'x'));
  CHECK(bench.run(input).output == input);
}

TEST_CASE("two concurrent tasks are distinguished") {
  PluginBench bench(R"(
hello("fake.it", slots=2)
held = []
for m in messages():
    held.append(m)
    if len(held) == 2:
        for h in reversed(held): result(h, output=h["input"])
)");
  REQUIRE(bench.up());
  auto first = bench.start("1", 30s, {}, 1);
  auto second = bench.start("2", 30s, {}, 2);
  CHECK(first.get().output == "1");
  CHECK(second.get().output == "2");
}

TEST_CASE("progress is passed on before the result") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    say(type="progress", **key(m), percent=40, text="nearly")
    result(m, output=1)
)");
  REQUIRE(bench.up());
  CHECK(bench.run().output == "1");
  REQUIRE(bench.seen.size() == 1);
  CHECK(bench.seen.front().percent == 40);
  CHECK(bench.seen.front().text == "nearly");
}

TEST_CASE("an error of the plug-in is the task's") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages(): result(m, error={"code": "bad_input", "message": "no such filter", "retryable": False})
)");
  REQUIRE(bench.up());
  const auto outcome = bench.run();
  CHECK(code(outcome) == "bad_input");
  CHECK(message(outcome) == "no such filter");
}

TEST_CASE("a plug-in that sends no hello in time is killed and restarted") {
  auto times = quick();
  times.hello = 100ms;
  PluginBench bench("touch('pid')\ntime.sleep(1000)\n", times);
  CHECK(bench.down("sent no hello within 1 s"));
  CHECK(code(bench.run()) == "plugin_unavailable");
}

TEST_CASE("a plug-in with an invalid hello is reported and restarted") {
  PluginBench bench(R"(
if os.path.exists(os.environ["TEST_DIR"] + "/once"):
    hello("fake.it")
    for m in messages(): result(m, output=1)
    sys.exit()
touch("once")
print("Welcome to my plug-in!", flush=True)
time.sleep(1000)
)");
  CHECK(bench.down("its first line is not a hello: Welcome to my plug-in!"));
  REQUIRE(bench.up());
  CHECK(bench.run().output == "1");
}

TEST_CASE("invalid lines, unknown tasks and endless lines are logged and ignored") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    print("not json"); print("[1"); print("{}"); print(chr(0) + "x")
    say(type="result", id="01J00000000000000000000099", attempt=1, output=1)
    result(dict(m, attempt=7), output="wrong attempt")
    sys.stdout.buffer.write(b"\xff\xfe\n" + b"x" * 5_000_000 + b"\n"); sys.stdout.flush()
    sys.stdout.write("[" * 100_000 + "\n")
    result(m, output="right")
    result(m, output="twice")
)");
  REQUIRE(bench.up());
  CHECK(bench.run().output == "\"right\"");
  CHECK(bench.lines.holds("ignored a line: it is not valid JSON for this agent"));
  CHECK(bench.lines.holds("dropped the part of a line beyond 1.2 MiB"));
  CHECK(bench.lines.holds("ignored a line: it is longer than 1.2 MiB"));
  CHECK(bench.run("null", 30s, {}, 2).output == "\"right\"");
}

TEST_CASE("an unreadable result fails its task at once, and the plug-in continues") {
  PluginBench bench(R"(
hello("fake.it", slots=2)
for m in messages():
    if m["type"] == "cancel": continue
    how = m["input"]
    if how == "nan": result(m, output=float("nan"))
    elif how == "huge": result(m, output="x" * 2_000_000)
    elif how == "bytes":
        sys.stdout.buffer.write(json.dumps(dict(type="result", **key(m), output="@")).encode().replace(b"@", b"\xff\xfe") + b"\n")
        sys.stdout.flush()
    elif how == "overflow": print(json.dumps(dict(type="result", **key(m), output=7)).replace("7}", "1e999}"), flush=True)
    elif how == "half": print(json.dumps(dict(type="result", **key(m), output="@")).replace("@", "\\ud800"), flush=True)
    elif how == "pid": result(m, output=os.getpid())
)");
  REQUIRE(bench.up());
  const auto pid = bench.run("\"pid\"").output;
  for (const auto& [how, why] : std::map<std::string, std::string>{{"nan", "it contains NaN"},
                                                                   {"huge", "it is longer than 1.2 MiB"},
                                                                   {"bytes", "it is not UTF-8"},
                                                                   {"half", "half of a surrogate pair"}}) {
    INFO(how);
    const auto outcome = bench.run('"' + how + '"');
    CHECK(code(outcome) == "plugin_error");
    CHECK(holds(message(outcome), why));
  }
  CHECK(bench.run("\"overflow\"").output == "1e999");  // valid JSON: whoever reads it decides
  CHECK(bench.run("\"pid\"").output == pid);
}

TEST_CASE("the death of a plug-in is reported, its task fails, and it is restarted") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    if m["input"] == "die":
        print("out of ideas", file=sys.stderr, flush=True)
        os._exit(3)
    result(m, output=1)
)");
  REQUIRE(bench.up());
  const auto outcome = bench.run("\"die\"");
  REQUIRE(code(outcome) == "plugin_died");
  CHECK(outcome.error->retryable);
  CHECK(message(outcome) == "plug-in fake died with exit code 3: out of ideas");
  CHECK(bench.down("died with exit code 3"));
  CHECK(eventually([&] { return bench.run().output == "1"; }));
  CHECK(bench.lines.holds("plug-in fake: out of ideas"));
}

TEST_CASE("a plug-in that is down still lists its capabilities, with the reason why it is down") {
  PluginBench bench(R"(
hello("fake.it", "fake.other", slots=3)
for m in messages():
    sys.stderr.write("Traceback: " + "x" * 4080 + "\n"); sys.stderr.flush()
    os._exit(3)
)",
                    quick(), 60s);
  REQUIRE(bench.up());
  const auto outcome = bench.run();
  REQUIRE(code(outcome) == "plugin_died");
  REQUIRE(bench.down("died with exit code 3: Traceback: xxx"));
  const auto offer = bench.offer();
  CHECK(offer.capabilities.size() == 2);
  CHECK(offer.slots == 3);
  CHECK(offer.problem.size() <= most_problem_bytes);
}

TEST_CASE("results that a plug-in sent before it died still count") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    result(m, output="done")
    os._exit(0)
)");
  REQUIRE(bench.up());
  CHECK(bench.run().output == "\"done\"");
}

TEST_CASE("restarts back off, and the backoff is reset after some uptime") {
  const Backoff backoff = PluginConfig::check({"a", {"b"}, {}, {}}).value().restart;
  CHECK(backoff.ceiling(1) == 1s);
  CHECK(backoff.ceiling(3) == 4s);
  CHECK(backoff.ceiling(100) == 60s);
}

TEST_CASE("a cancel is passed on, and its answer ends the task") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    if m["type"] == "task": touch("got")
    if m["type"] == "cancel": result(m, error={"code": "cancelled", "message": "ok", "retryable": False})
)");
  REQUIRE(bench.up());
  std::stop_source stop;
  auto running = bench.start("null", 60s, stop.get_token());
  REQUIRE(bench.touched("got"));
  stop.request_stop();
  CHECK(code(running.get()) == "cancelled");
  CHECK(bench.up());
  CHECK_FALSE(bench.lines.holds("started again"));
}

TEST_CASE("a plug-in that does not answer a cancel is killed with all its children") {
  PluginBench bench(R"(
hello("fake.it", slots=2)
for m in messages():
    if m["input"] == "bystander": continue
    if os.fork() == 0:
        touch("child")
        time.sleep(1000)
    time.sleep(1000)
)");
  REQUIRE(bench.up());
  std::stop_source stop;
  auto bystander = bench.start("\"bystander\"", 60s, {}, 2);
  auto running = bench.start("null", 60s, stop.get_token(), 1);
  REQUIRE(bench.touched("child"));
  stop.request_stop();
  CHECK(code(running.get()) == "cancelled");
  const auto other = bystander.get();
  CHECK(code(other) == "plugin_died");
  CHECK(holds(message(other), "did not answer a cancel"));
  CHECK(eventually([&] { return gone(read_pid(bench.dir / "child")); }));
  CHECK(bench.scratches() == 0);
}

TEST_CASE("a timeout cancels the task, and is reported as a timeout") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    if m["type"] == "cancel": result(m, output="too late")
)");
  REQUIRE(bench.up());
  const auto outcome = bench.run("null", 100ms);
  REQUIRE(code(outcome) == "timed_out");
  CHECK(outcome.error->retryable);
}

TEST_CASE("a plug-in that never ends a line runs into the timeout, in bounded memory") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    while True: sys.stdout.write("x" * 65536)
)");
  REQUIRE(bench.up());
  CHECK(code(bench.run("null", 300ms)) == "timed_out");
  CHECK(bench.lines.holds("dropped the part of a line beyond 1.2 MiB"));
  CHECK(bench.down("did not answer a cancel"));
}

TEST_CASE("a plug-in that closes its output is restarted") {
  PluginBench bench(R"(
hello("fake.it")
os.close(1)
time.sleep(1000)
)");
  CHECK(bench.down("closed its standard input or output, and was killed"));
}

TEST_CASE("a plug-in that does not read does not block the agent") {
  PluginBench bench(R"(
hello("fake.it", slots=3)
time.sleep(1000)
)");
  REQUIRE(bench.up());
  std::vector<std::future<RunOutcome>> runs;
  for (int n = 1; n <= 3; ++n) {
    runs.push_back(bench.start(json::quoted(std::string(200'000, 'x')), 200ms, {}, n));
  }
  for (auto& run : runs) CHECK(code(run.get()) == "timed_out");
}

TEST_CASE("a flood on stderr is drained and logged at a bounded rate") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    for i in range(20000): print("noise", i, "x" * 100, file=sys.stderr)
    result(m, output=1)
)");
  REQUIRE(bench.up());
  CHECK(bench.run().output == "1");
  CHECK(bench.lines.size() < 500);
}

TEST_CASE("artifacts are placed for a plug-in, and files that it names are stored") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    text = open(m["input"]["image"]["file"]).read()
    out = m["scratch"] + "/out/"
    os.mkdir(out + "sub")
    open(out + "sub/loud.txt", "w").write(text.upper())
    result(m, output={"made": [{"file": "out/sub/loud.txt", "width": 7}], "again": {"file": "out/sub/loud.txt"},
                      "from": m["input"]["image"]})
)");
  REQUIRE(bench.up());
  const std::string id = bench.store->put("hello");
  const auto outcome = bench.run(R"({"image":{"artifact":")" + id + "\"}}");
  INFO(message(outcome));
  REQUIRE(code(outcome) == "none");
  const std::string loud = id_of("HELLO");
  CHECK(bench.store->get(loud) == "HELLO");
  const std::string file = R"("artifact":")" + loud + R"(","bytes":5,"name":"loud.txt")";
  CHECK(outcome.output ==
        R"({"made":[{"width":7,)" + file + R"(}],"again":{)" + file + R"(},"from":{"artifact":")" + id + "\"}}");
  CHECK(bench.scratches() == 0);
}

TEST_CASE("a plug-in can only return files below its out/") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages():
    s = m["scratch"]
    os.symlink("/etc/passwd", s + "/out/link")
    os.symlink("/etc", s + "/out/dir")
    os.mkfifo(s + "/out/fifo")
    result(m, output={"deep": [{"file": m["input"].replace("SCRATCH", s)}]})
)");
  REQUIRE(bench.up());
  int number = 0;
  for (const std::string path : {"/etc/passwd", "../../../../etc/passwd", "out/../../../../../etc/passwd", "out/link",
                                 "out/dir/passwd", "out/dir", "out/fifo", "out/missing", "out/", "out", "",
                                 "SCRATCH/out/link", "./out/link", "out/./link", "in/x"}) {
    INFO(path);
    const auto outcome = bench.run(json::quoted(path), 30s, {}, ++number);
    CHECK(code(outcome) == "plugin_error");
    CHECK_FALSE(outcome.error->retryable);
  }
}

TEST_CASE("an input cannot name a file of the device to a plug-in") {
  PluginBench bench(echo);
  REQUIRE(bench.up());
  CHECK(code(bench.run(R"({"image":{"file":"/etc/passwd"}})")) == "bad_input");
  CHECK(code(bench.run(R"({"image":{"artifact":"../../etc/passwd"}})")) == "bad_input");
  CHECK(code(bench.run(R"({"image":{"artifact":"sha256-)" + std::string(64, '0') + "\"}}")) == "artifact_missing");
  CHECK(code(bench.run("{")) == "bad_input");
}

TEST_CASE("an output that does not fit a message is refused") {
  PluginBench bench(R"(
hello("fake.it")
for m in messages(): result(m, output="x" * 300_000)
)");
  REQUIRE(bench.up());
  const auto outcome = bench.run();
  CHECK(code(outcome) == "output_too_large");
  CHECK_FALSE(outcome.error->retryable);
}

TEST_CASE("a plug-in ends by itself when its standard input is closed") {
  PluginBench bench(echo + "touch('ended')\n");
  REQUIRE(bench.up());
  bench.executor.reset();
  CHECK(read_pid(bench.dir / "ended") > 0);
}

TEST_CASE("a plug-in that does not end is killed with its children") {
  auto times = quick();
  times.close = 100ms;
  PluginBench bench(R"(
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    touch("child")
    while True: time.sleep(1000)
hello("fake.it")
touch("parent")
while True: time.sleep(1000)
)",
                    times);
  REQUIRE(bench.up());
  REQUIRE(bench.touched("child"));
  REQUIRE(bench.touched("parent"));
  bench.executor.reset();
  CHECK(gone(read_pid(bench.dir / "parent")));
  CHECK(eventually([&] { return gone(read_pid(bench.dir / "child")); }));
}

TEST_CASE("a plug-in that was asked to end and does not is killed when the agent must end at once") {
  auto times = quick();
  times.close = times.terminate = 1min;
  std::stop_source at_once;
  PluginBench bench(R"(
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
hello("fake.it")
touch("parent")
while True: time.sleep(1000)
)",
                    times, 20ms, at_once.get_token());
  REQUIRE(bench.touched("parent"));
  REQUIRE(bench.up());
  const auto pid = read_pid(bench.dir / "parent");
  bench.executor->ask_to_end();
  CHECK_FALSE(gone(pid));
  const Time asked = monotonic_now();
  at_once.request_stop();
  bench.executor.reset();
  CHECK(gone(pid));
  CHECK(monotonic_now() - asked < 30s);
}

TEST_CASE("destroying the executor ends a run in progress") {
  PluginBench bench("hello('fake.it')\nfor m in messages(): touch('got')\n");
  REQUIRE(bench.up());
  auto running = bench.start();
  REQUIRE(bench.touched("got"));
  bench.executor.reset();
  CHECK(code(running.get()) == "cancelled");
}

TEST_CASE("a missing program of a plug-in is reported, and searched again") {
  Bench bench;
  auto config = PluginConfig::check({"ghost", {"no-such-program-here"}, {}, {}}).value();
  config.restart = {5ms, 5ms};
  std::mutex mutex;
  std::string problem;
  PluginExecutor executor(config, bench.services);
  executor.start([&](const ExecutorInfo& info) {
    const std::lock_guard lock(mutex);
    problem = info.problem;
  });
  CHECK(eventually([&] {
    const std::lock_guard lock(mutex);
    return holds(problem, "'no-such-program-here' is not in");
  }));
}

}  // namespace
}  // namespace edgefleet::agent::test
