#include "edge-agent/executors/command/executor.hpp"

#include <future>

#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/executors/support.hpp"

namespace edgefleet::agent::test {
namespace {

constexpr ProcessGraces short_graces{200ms, 200ms};

CommandSettings shell(const std::string& script) {
  CommandSettings settings;
  settings.name = "sh";
  settings.argv = {"sh", "-c"};
  std::string element;  // braces of the shell are not placeholders
  for (const char c : script) element += c == '{' || c == '}' ? std::string(2, c) : std::string(1, c);
  settings.argv.push_back(element);
  return settings;
}

// A bench with one command.
struct CommandBench : Bench {
  explicit CommandBench(const CommandSettings& settings)
      : executor(CommandConfig::check(settings).value(), services, short_graces) {}
  RunOutcome run(const std::string& input = "null", Duration timeout = 30s, std::stop_token stop = {}) {
    return executor.run(job("command.sh", input, timeout), std::move(stop), {});
  }
  CommandExecutor executor;
};

std::string code(const RunOutcome& outcome) { return outcome.error ? outcome.error->code : "none"; }
std::string stdout_of(const RunOutcome& outcome) { return text_at(raw(outcome.output, "stdout"), "text"); }

TEST_CASE("a command's output, exit code and time are its result") {
  CommandBench bench(shell("echo out; echo err >&2"));
  const auto outcome = bench.run();
  CHECK(code(outcome) == "none");
  REQUIRE(json::well_formed(outcome.output));
  CHECK(raw(outcome.output, "exit_code") == "0");
  CHECK(raw(outcome.output, "stdout") == R"({"text":"out\n","bytes":4,"truncated":false})");
  CHECK(raw(outcome.output, "stderr") == R"({"text":"err\n","bytes":4,"truncated":false})");
  CHECK(raw(outcome.output, "artifacts") == "[]");
  CHECK(json::as_integer(raw(outcome.output, "duration_ms")).has_value());
  CHECK(bench.scratches() == 0);
}

TEST_CASE("a command that has ended is reported at once") {
  Bench bench;
  CommandExecutor executor(CommandConfig::check(shell("exit 0")).value(), bench.services, {60s, 60s});
  const auto begin = std::chrono::steady_clock::now();
  CHECK(code(executor.run(job("command.sh", "null"), {}, {})) == "none");
  CHECK(std::chrono::steady_clock::now() - begin < 30s);
}

TEST_CASE("a non-zero exit code is a failure with a reason and the output") {
  auto settings = shell("echo half; echo 'disk is on fire' >&2; exit 3");
  settings.retry_exit_codes = {75};
  CommandBench bench(settings);
  const auto outcome = bench.run();
  REQUIRE(code(outcome) == "exit_status");
  CHECK(outcome.error->message == "exit code 3: disk is on fire\n");
  CHECK_FALSE(outcome.error->retryable);
  CHECK(stdout_of(outcome) == "half\n");
}

TEST_CASE("configured exit codes are retryable") {
  auto settings = shell("exit 75");
  settings.retry_exit_codes = {75};
  const auto outcome = CommandBench(settings).run();
  REQUIRE(code(outcome) == "exit_status");
  CHECK(outcome.error->retryable);
}

TEST_CASE("the failure of a command that a signal killed names the signal") {
  CommandBench bench(shell("echo last words; kill -KILL $$"));
  const auto outcome = bench.run();
  REQUIRE(code(outcome) == "killed");
  CHECK(outcome.error->retryable);
  CHECK(text_at(outcome.output, "signal") == "SIGKILL");
  CHECK(stdout_of(outcome) == "last words\n");
}

TEST_CASE("parameters are passed to the command unchanged, never through a shell") {
  CommandSettings settings;
  settings.name = "show";
  settings.argv = {"printf", "[%s]", "{p}"};
  settings.params["p"] = {};
  CommandBench bench(settings);
  for (const std::string text : {"; rm -rf /", "$(touch x)", "`id`", "a b  c", "*", "&& ls", "%s%n", "'\\\"'"}) {
    const auto outcome = bench.run("{\"p\":" + json::quoted(text) + "}");
    CHECK(stdout_of(outcome) == "[" + text + "]");
  }
  for (const std::string input : {R"({"p":"-rf"})", R"({"p":"a\nb"})", R"({"p":"a\u0000b"})", R"({"p":5})", "{}",
                                  R"({"p":"x","q":"y"})", "7", "{"}) {
    const auto outcome = bench.run(input);
    INFO(input);
    REQUIRE(code(outcome) == "bad_input");
    CHECK_FALSE(outcome.error->retryable);
  }
  CHECK(bench.scratches() == 0);
}

TEST_CASE("an endless output takes bounded memory and ends at the timeout") {
  CommandSettings settings;
  settings.name = "yes";
  settings.argv = {"yes"};
  settings.output_bytes = 1000;
  CommandBench bench(settings);
  const auto outcome = bench.run("null", 300ms);
  REQUIRE(code(outcome) == "timed_out");
  CHECK(outcome.error->retryable);
  CHECK(outcome.error->message == "it did not end within 300 ms");
  CHECK(outcome.output.size() < 4000);
  CHECK(raw(raw(outcome.output, "stdout"), "truncated") == "true");
  CHECK(*json::as_integer(raw(raw(outcome.output, "stdout"), "bytes")) > 100'000);
}

TEST_CASE("the command's own timeout counts as well") {
  auto settings = shell("sleep 1000");
  settings.timeout_s = 1;
  CHECK(code(CommandBench(settings).run()) == "timed_out");
}

TEST_CASE("output that JSON escapes make longer is shortened until it fits") {
  auto settings = shell("head -c 200000 /dev/zero; head -c 200000 /dev/urandom >&2");
  settings.output_bytes = 120 * 1024;
  const auto outcome = CommandBench(settings).run();
  CHECK(code(outcome) == "none");
  CHECK(outcome.output.size() <= limits::input_bytes);
  CHECK(json::well_formed(outcome.output));
  CHECK(raw(raw(outcome.output, "stdout"), "bytes") == "200000");
}

TEST_CASE("invalid UTF-8 becomes valid JSON") {
  const auto outcome = CommandBench(shell("printf 'a\\377b'")).run();
  CHECK(json::well_formed(outcome.output));
  CHECK(stdout_of(outcome) ==
        "a\xEF\xBF\xBD"
        "b");
}

TEST_CASE("a descendant in the background does not delay the result, and is killed") {
  CommandBench bench(shell("sleep 1000 & echo $! > $HOME/../pid; echo done"));
  const auto begin = std::chrono::steady_clock::now();
  const auto outcome = bench.run();
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  CHECK(code(outcome) == "none");
  CHECK(stdout_of(outcome) == "done\n");
  CHECK(eventually([&] { return gone(read_pid(bench.dir / "work/pid")); }));
}

TEST_CASE("a descendant outside the group does not delay the result, and is killed") {
  CommandBench bench(shell("env -i setsid sleep 1000 & echo $! > $HOME/../pid; echo done"));
  const auto outcome = bench.run();
  CHECK(stdout_of(outcome) == "done\n");
  CHECK(gone(read_pid(bench.dir / "work/pid")));
}

TEST_CASE("a cancel is confirmed when no process of the command runs") {
  CommandBench bench(shell("env -i setsid sleep 1000 & echo $! > $HOME/../pid; sleep 1000"));
  std::stop_source stop;
  auto running = std::async(std::launch::async, [&] { return bench.run("null", 60s, stop.get_token()); });
  REQUIRE(eventually([&] { return read_pid(bench.dir / "work/pid") > 0; }));
  stop.request_stop();
  CHECK(code(running.get()) == "cancelled");
  CHECK(gone(read_pid(bench.dir / "work/pid")));
}

TEST_CASE("a cancel ends the whole group") {
  CommandBench bench(shell("(trap '' TERM; sleep 1000 & echo $! > $HOME/../pid; wait; sleep 1000) & sleep 1000"));
  std::stop_source stop;
  auto running = std::async(std::launch::async, [&] { return bench.run("null", 60s, stop.get_token()); });
  REQUIRE(eventually([&] { return read_pid(bench.dir / "work/pid") > 0; }));
  stop.request_stop();
  const auto outcome = running.get();
  REQUIRE(code(outcome) == "cancelled");
  CHECK_FALSE(outcome.error->retryable);
  CHECK(eventually([&] { return gone(read_pid(bench.dir / "work/pid")); }));
  CHECK(bench.scratches() == 0);
}

TEST_CASE("a command that ignores SIGTERM is killed after the grace") {
  CommandBench bench(shell("trap '' TERM; echo $$ > $HOME/../pid; while :; do sleep 0.05; done"));
  std::stop_source stop;
  auto running = std::async(std::launch::async, [&] { return bench.run("null", 60s, stop.get_token()); });
  REQUIRE(eventually([&] { return read_pid(bench.dir / "work/pid") > 0; }));
  stop.request_stop();
  const auto outcome = running.get();
  CHECK(code(outcome) == "cancelled");
  CHECK(text_at(outcome.output, "signal") == "SIGKILL");
}

TEST_CASE("a command that ends itself on SIGTERM is cancelled too") {
  CommandBench bench(shell("trap 'echo bye; exit 0' TERM; echo $$ > $HOME/../pid; while :; do sleep 0.05; done"));
  std::stop_source stop;
  auto running = std::async(std::launch::async, [&] { return bench.run("null", 60s, stop.get_token()); });
  REQUIRE(eventually([&] { return read_pid(bench.dir / "work/pid") > 0; }));
  stop.request_stop();
  const auto outcome = running.get();
  CHECK(code(outcome) == "cancelled");
  CHECK(raw(outcome.output, "exit_code") == "0");
  CHECK(stdout_of(outcome) == "bye\n");
}

TEST_CASE("destroying the executor stops running commands") {
  Bench bench;
  auto config = CommandConfig::check(shell("echo $$ > $HOME/../pid; exec sleep 1000")).value();
  auto executor = std::make_unique<CommandExecutor>(config, bench.services, short_graces);
  auto running = std::async(std::launch::async, [&, under_way = executor.get()] {
    return under_way->run(job("command.sh", "null"), {}, {});
  });
  REQUIRE(eventually([&] { return read_pid(bench.dir / "work/pid") > 0; }));
  executor.reset();
  CHECK(code(running.get()) == "cancelled");
  CHECK(gone(read_pid(bench.dir / "work/pid")));
}

TEST_CASE("artifacts are placed for the command, and its output files become artifacts") {
  CommandSettings settings = shell("");
  settings.argv = {"sh", "-c", "tr a-z A-Z < \"$1\" > out/loud.txt; cat > out/stdin.txt; ls in", "sh", "{file}"};
  settings.params["file"].type = "artifact";
  settings.params["text"].to_stdin = true;
  CommandBench bench(settings);
  const std::string id = bench.store->put("hello");
  const auto outcome = bench.run(R"({"file":{"artifact":")" + id + R"("},"text":"typed"})");
  INFO(outcome.output);
  REQUIRE(code(outcome) == "none");
  CHECK(stdout_of(outcome) == id + "\n");
  const std::string list = raw(outcome.output, "artifacts");
  const auto artifacts = json::elements(list);
  REQUIRE(artifacts->size() == 2);
  const std::string loud(artifacts->at(0));
  CHECK(text_at(loud, "name") == "loud.txt");
  CHECK(raw(loud, "bytes") == "5");
  CHECK(bench.store->get(text_at(loud, "artifact")) == "HELLO");
  CHECK(bench.store->get(text_at(std::string(artifacts->at(1)), "artifact")) == "typed");
}

TEST_CASE("an artifact can be the standard input") {
  CommandSettings settings = shell("cat");
  settings.params["file"].type = "artifact";
  settings.params["file"].to_stdin = true;
  CommandBench bench(settings);
  const auto outcome = bench.run(R"({"file":{"artifact":")" + bench.store->put("from a file") + "\"}}");
  CHECK(stdout_of(outcome) == "from a file");
}

TEST_CASE("a missing artifact fails the task, and waiting for an unreachable store ends at the timeout") {
  CommandSettings settings = shell("cat");
  settings.params["file"].type = "artifact";
  settings.params["file"].to_stdin = true;
  CommandBench bench(settings);
  const auto missing = bench.run(R"({"file":{"artifact":"sha256-)" + std::string(64, '0') + "\"}}");
  REQUIRE(code(missing) == "artifact_missing");
  CHECK_FALSE(missing.error->retryable);
  bench.store->unreachable = true;
  const auto stuck = bench.run(R"({"file":{"artifact":")" + bench.store->put("x") + "\"}}", 100ms);
  REQUIRE(code(stuck) == "timed_out");
  CHECK(stuck.error->message.find("it did not end within 100 ms; fetching sha256-") == 0);
  CHECK(stuck.error->message.find(": nobody answers") != std::string::npos);
}

TEST_CASE("too much in out/ is an error that keeps the output") {
  auto settings = shell("echo made it; head -c 2000 /dev/zero > out/big");
  settings.artifact_bytes = 1000;
  const auto outcome = CommandBench(settings).run();
  REQUIRE(code(outcome) == "output_too_large");
  CHECK_FALSE(outcome.error->retryable);
  CHECK(stdout_of(outcome) == "made it\n");
}

TEST_CASE("the failure of a command comes before that of its files") {
  auto settings = shell("echo 'disk is on fire' >&2; head -c 2000 /dev/zero > out/big; exit 7");
  settings.artifact_bytes = 1000;
  settings.retry_exit_codes = {7};
  const auto outcome = CommandBench(settings).run();
  REQUIRE(code(outcome) == "exit_status");
  CHECK(outcome.error->message.find("exit code 7: disk is on fire") == 0);
  CHECK(outcome.error->message.find("its files are not kept: out/ has more than") != std::string::npos);
  CHECK(outcome.error->retryable);
  CHECK(raw(outcome.output, "exit_code") == "7");
}

TEST_CASE("the files of an input are bounded like those of an output") {
  CommandSettings settings = shell("true \"$1\" \"$2\"");
  settings.argv.insert(settings.argv.end(), {"sh", "{a}", "{b}"});
  settings.params["a"].type = settings.params["b"].type = "artifact";
  settings.artifact_bytes = 1000;
  const auto run = [](CommandBench& bench, std::size_t first, std::size_t second) {
    return bench.run(R"({"a":{"artifact":")" + bench.store->put(std::string(first, 'a')) + R"("},"b":{"artifact":")" +
                     bench.store->put(std::string(second, 'b')) + "\"}}");
  };
  CommandBench bench(settings);
  CHECK(code(run(bench, 400, 600)) == "none");
  for (const auto& [first, second] :
       {std::pair<std::size_t, std::size_t>{1001, 0}, {0, 1001}, {600, 401}, {401, 600}}) {
    const auto outcome = run(bench, first, second);
    REQUIRE(code(outcome) == "input_too_large");
    CHECK_FALSE(outcome.error->retryable);
    CHECK(outcome.error->message.find("1000 bytes") != std::string::npos);
  }
  settings.artifact_files = 1;
  CommandBench one(settings);
  CHECK(code(run(one, 1, 2)) == "input_too_large");
  CHECK(one.scratches() == 0);
}

TEST_CASE("a command whose program is missing is out of service") {
  CommandSettings settings = shell("");
  settings.argv = {"no-such-program-here"};
  CommandBench bench(settings);
  ExecutorInfo offered;
  bench.executor.start([&](ExecutorInfo info) { offered = std::move(info); });
  REQUIRE(offered.capabilities.size() == 1);  // so that people see why no agent runs it
  CHECK(offered.capabilities.front().str() == "command.sh");
  CHECK(offered.problem.find("'no-such-program-here' is not in") != std::string::npos);
  CHECK(code(bench.run()) == "command_not_found");
}

TEST_CASE("a command offers its capability and slots") {
  auto settings = shell("true");
  settings.slots = 3;
  CommandBench bench(settings);
  ExecutorInfo offered;
  bench.executor.start([&](ExecutorInfo info) { offered = std::move(info); });
  REQUIRE(offered.capabilities.size() == 1);
  CHECK(offered.capabilities.front().str() == "command.sh");
  CHECK(offered.slots == 3);
  CHECK(offered.problem.empty());
}

TEST_CASE("a command has the configured environment and runs in the scratch folder") {
  auto settings = shell("echo $GREETING:$LANG:$EDGEFLEET_TEST_SECRET; test $PWD = $HOME && pwd");
  settings.env["GREETING"] = "hello";
  ::setenv("EDGEFLEET_TEST_SECRET", "hush", 1);
  CommandBench bench(settings);
  CHECK(stdout_of(bench.run()).find("hello:C.UTF-8:\n" + bench.dir / "work/") == 0);
}

TEST_CASE("time spent frozen does not count against the timeout") {
  CommandBench bench(shell("echo $$ > $HOME/../pid; sleep 0.3; echo done"));
  auto running = std::async(std::launch::async, [&] { return bench.run("null", 1s); });
  REQUIRE(eventually([&] { return read_pid(bench.dir / "work/pid") > 0; }));
  bench.services.spawner->groups()->freeze(true);
  CHECK(running.wait_for(1300ms) == std::future_status::timeout);
  bench.services.spawner->groups()->freeze(false);
  CHECK(stdout_of(running.get()) == "done\n");
}

TEST_CASE("many concurrent runs do not affect each other") {
  CommandSettings settings;
  settings.name = "show";
  settings.argv = {"sh", "-c", "echo \"$1\"; echo \"$1\" > out/n", "sh", "{n}"};
  settings.params["n"].type = "integer";
  CommandBench bench(settings);
  std::vector<std::future<RunOutcome>> runs;
  for (int n = 0; n < 16; ++n) {
    runs.push_back(std::async(std::launch::async, [&bench, n] {
      return bench.executor.run(job("command.show", "{\"n\":" + std::to_string(n) + "}", 60s, n), {}, {});
    }));
  }
  for (int n = 0; n < 16; ++n) CHECK(stdout_of(runs[static_cast<std::size_t>(n)].get()) == std::to_string(n) + "\n");
  CHECK(bench.scratches() == 0);
}

}  // namespace
}  // namespace edgefleet::agent::test
