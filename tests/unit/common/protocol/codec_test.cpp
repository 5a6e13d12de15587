#include <rapidcheck.h>

#include "common/protocol/codec.hpp"
#include "common/protocol/submission.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::protocol;
using namespace std::chrono_literals;

namespace {
const TaskId id = *TaskId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV");
const SessionId session = *SessionId::parse("s-1");
const Reign reign{3, session};
}  // namespace

TEST_CASE("a beat is unchanged after encoding and decoding") {
  Heartbeat beat;
  beat.session = session;
  beat.sequence = 7;
  beat.coordinator = reign;
  beat.n = 812;
  beat.uptime = 3600s;
  beat.load = 0.25;
  beat.free_memory_bytes = 123456789;
  beat.free_slots[*ExecutorName::parse("image")] = 2;
  beat.held = {{id, 2, HeldPhase::running, *ExecutorName::parse("image")}};
  beat.free_disk_bytes = 5'000'000'000;
  beat.status_for = 60s;
  beat.succeeded = 12;
  beat.failed = 3;
  beat.gpu_celsius = {61.5, std::nullopt};
  beat.clock = WallTime{1'700'000'000'123};
  const auto decoded = decode_heartbeat(encode(beat));
  REQUIRE(decoded);
  CHECK(*decoded == beat);
}

TEST_CASE("a beat without the executor of a task is unchanged after encoding and decoding") {
  const auto beat = decode_heartbeat(
      R"({"session":"a","tasks":[{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","attempt":1,"phase":"running","run_ms":5}]})");
  REQUIRE(beat);
  const auto again = decode_heartbeat(encode(*beat));
  REQUIRE(again);
  CHECK(*again == *beat);
}

TEST_CASE("a beat with an invalid task is refused as a whole: the task would look absent") {
  CHECK_FALSE(decode_heartbeat(R"({"session":"a","tasks":[{"id":"bad","attempt":1,"phase":"running"}]})"));
}

TEST_CASE("an info with an address and GPUs is unchanged after encoding and decoding, an invalid GPU is omitted") {
  AgentInfo info;
  info.session = session;
  info.address = "fd00::7";
  info.gpus = {{"RTX", 1ULL << 33U}, {"v3d", 0}};
  for (const auto& config : {ConfigReport{}, ConfigReport{7, "added echo", "broker", "line 3: \"x\""}}) {
    info.config = config;
    CHECK(decode_agent_info(encode(info))->info == info);
  }
  info.config.reset();
  const auto decoded = decode_agent_info(encode(info));
  REQUIRE(decoded);
  CHECK(decoded->info == info);
  const auto bad = decode_agent_info(R"({"session":"s","gpus":[{"name":7},{"name":"good"},5],"executors":[]})");
  REQUIRE(bad);
  CHECK(bad->info.gpus == std::vector<GpuInfo>{{"good", 0}});
  CHECK(bad->bad.size() == 2);
  CHECK_FALSE(decode_agent_info(R"({"session":"s","executors":[],"config":{"reloads":-1}})"));
}

TEST_CASE("a temperature of a GPU that is none counts as unknown, and their number is bounded") {
  const auto beat = decode_heartbeat(R"({"session":"a","gpu_celsius":[1e308,"hot",50,null],"tasks":[]})");
  REQUIRE(beat);
  CHECK(beat->gpu_celsius == std::vector<std::optional<double>>{std::nullopt, std::nullopt, 50.0, std::nullopt});
  std::string many = R"({"session":"a","tasks":[],"gpu_celsius":[1)";
  for (int i = 0; i < 1000; ++i) many += ",1";
  CHECK(decode_heartbeat(many + "]}")->gpu_celsius.size() == limits::gpus);
}

TEST_CASE("a submission with a condition that nobody can understand is refused") {
  const auto with = [](const std::string& where) {
    return decode_submission(R"({"capability":"work","where":)" + where + "}");
  };
  CHECK(with(R"({"memory_mb":">=4000","cpus":"4","room":"attic"})"));
  for (const char* where : {R"({"memory>":"4GB"})", R"({"memory_mb":">=4GB"})", R"({"cpus":""})", R"({"room":">3"})"}) {
    CAPTURE(where);
    const auto refused = with(where);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
    CHECK(refused.error().message.find("`where`") != std::string::npos);
  }
}

TEST_CASE("descriptions of inputs are named by digest, sent byte for byte, and asked for") {
  const std::string digest = "0123456789abcdef0123456789abcdef";
  const std::vector<ParametersElement> all{{digest, R"({"type": "object",  "maximum":1.10})"}};
  std::size_t first = 0;
  const auto decoded = decode_parameters(encode_parameters(session, all, first));
  REQUIRE(decoded);
  CHECK(decoded->parameters.good == all);
  const auto bad = decode_parameters(R"({"session":"s","parameters":[{"digest":"x","schema":{}},{"digest":")" + digest +
                                     R"("},{"digest":")" + digest + R"(","schema":{}}]})");
  CHECK(bad->parameters.good.size() == 1);
  CHECK(bad->parameters.bad.size() == 2);
  const auto asked = decode_control(encode_describe(reign, {digest, "anything"}));
  REQUIRE(asked);
  CHECK(asked->type == ControlType::describe);
  CHECK(asked->reign == reign);
  CHECK(asked->digests == std::vector<std::string>{digest, "anything"});

  AgentInfo info;
  info.session = session;
  ExecutorInfo executor;
  executor.name = *ExecutorName::parse("main");
  executor.capabilities = {*Capability::parse("image.blur")};
  executor.parameters[executor.capabilities.front()] = digest;
  info.executors = {executor};
  CHECK(decode_agent_info(encode(info))->info == info);
  const auto odd = decode_agent_info(
      R"({"session":"s","executors":[{"name":"a","capabilities":["b"],"parameters":{"b":"short","..":")" + digest +
      R"("}}]})");
  REQUIRE(odd->info.executors.size() == 1);
  CHECK(odd->info.executors.front().parameters.empty());
}

TEST_CASE("results and tasks are split by the bounds on elements and bytes") {
  std::vector<TaskResult> results(300);
  for (std::size_t i = 0; i < results.size(); ++i) {
    results[i].id = TaskId{Ulid{1, i}};
    results[i].output = '"' + std::string(i % 50 == 0 ? 100'000 : 10, 'x') + '"';
  }
  std::size_t first = 0;
  std::size_t decoded = 0;
  while (first < results.size()) {
    const auto payload = encode_results(session, results, first);
    CHECK(payload.size() <= limits::payload_bytes);
    const auto message = decode_results(payload);
    REQUIRE(message);
    CHECK(message->results.bad.empty());
    CHECK(message->results.good.size() <= limits::message_elements);
    for (const auto& result : message->results.good) CHECK(result == results[decoded++]);
  }
  CHECK(decoded == 300);
}

TEST_CASE("inputs and outputs that are files travel with their id and size") {
  const TextFile file{"sha256-" + std::string(64, 'a'), 1'000'000, {"sha256-" + std::string(64, 'b')}};
  TaskElement element{TaskId{Ulid{1, 1}}, 2, "null", std::chrono::seconds(5)};
  element.input_at = TextFile{file.artifact, file.bytes, {}};
  TaskResult result;
  result.id = element.id;
  result.output_at = file;
  std::size_t first = 0;
  const auto tasks = decode_tasks(encode_tasks(reign, 1, 5'000'000, {element}, first));
  REQUIRE(tasks);
  CHECK(tasks->tasks.good == std::vector{element});
  CHECK(tasks->max_output_bytes == 5'000'000);
  first = 0;
  CHECK(decode_results(encode_results(session, {result}, first))->results.good == std::vector{result});
  const auto of_older = decode_tasks(R"({"epoch":3,"session":"s","n":1,"tasks":[]})");
  CHECK(of_older->max_output_bytes == limits::input_bytes);
  const auto bound = decode_tasks(R"({"epoch":3,"session":"s","n":1,"max_output_bytes":99999999999,"tasks":[]})");
  CHECK(bound->max_output_bytes == limits::most_task_bytes);
}

TEST_CASE("a file of a task that is no file is an error of its element") {
  const std::string id = "sha256-" + std::string(64, 'a');
  const auto bad = [](const std::string& file) {
    const auto tasks = decode_tasks(R"({"epoch":3,"session":"s","n":1,"tasks":[{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "attempt":1,"timeout_ms":1,"input_at":)" +
                                    file + "}]}");
    const auto results = decode_results(R"({"session":"s","results":[{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","attempt":1,
        "status":"succeeded","output_at":)" +
                                        file + "}]}");
    return tasks->tasks.bad.size() + results->results.bad.size();
  };
  CHECK(bad(R"({"artifact":")" + id + R"(","bytes":1})") == 0);
  for (const std::string& file : std::vector<std::string>{
           "7", "{}", R"({"artifact":")" + id + "\"}", R"({"artifact":"../x","bytes":1})",
           R"({"artifact":")" + id + R"(","bytes":-1})", R"({"artifact":")" + id + R"(","bytes":67108865})",
           R"({"artifact":")" + id + R"(","bytes":1,"artifacts":["x"]})",
           R"({"artifact":")" + id + R"(","bytes":1,"artifacts":7})"}) {
    CAPTURE(file);
    CHECK(bad(file) == 2);
  }
}

TEST_CASE("a heartbeat has at most as many free slots as an info has executors") {
  const auto with = [](int count) {
    std::string slots;
    for (int i = 0; i < count; ++i) slots += (i > 0 ? ",\"e" : "\"e") + std::to_string(i) + "\":1";
    return decode_heartbeat(R"({"session":"s","epoch":3,"tasks":[],"free_slots":{)" + slots + "}}");
  };
  CHECK(with(128));
  CHECK_FALSE(with(129));
}

TEST_CASE("one bad element does not affect the others") {
  const auto message = decode_tasks(
      R"({"epoch":3,"session":"s","n":1,"tasks":[
        {"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","attempt":1,"input":{"z":1,"a":1.10},"timeout_ms":1000},
        {"id":"nonsense","attempt":1,"input":1,"timeout_ms":1000},
        "what",
        {"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","attempt":1,"timeout_ms":1000},
        {"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","attempt":2,"input":null,"timeout_ms":1000}]})");
  REQUIRE(message);
  REQUIRE(message->tasks.good.size() == 2);
  CHECK(message->tasks.good[0].input == R"({"z":1,"a":1.10})");  // unchanged: order of keys, digits
  CHECK(message->tasks.bad.size() == 3);
}

TEST_CASE("one bad executor of an agent does not affect the others, and is reported") {
  const auto read = decode_agent_info(
      R"({"session":"s","executors":[{"name":"a","capabilities":["x"]},{"name":"b","capabilities":["x"],"problem":")" +
      std::string(5000, 'p') + R"("},{"name":"c","capabilities":["x"]}]})");
  REQUIRE(read);
  REQUIRE(read->info.executors.size() == 2);
  CHECK(read->info.executors[1].name.str() == "c");
  REQUIRE(read->bad.size() == 1);
  CHECK(read->bad[0].find("`problem`") != std::string::npos);
}

TEST_CASE("an invalid message is an error with a text, never a crash") {
  for (const char* bad : {"", "null", "[]", "{", "1", "\"x\"", "{}", R"({"session":5})",
                          R"({"epoch":-1,"session":"s"})", R"({"state":"happy","session":"s"})", "\xff\xfe"}) {
    INFO(bad);
    CHECK_FALSE(decode_agent_status(bad));
    CHECK_FALSE(decode_agent_info(bad));
    CHECK_FALSE(decode_heartbeat(bad));
    CHECK_FALSE(decode_temperature(std::string(bad) + "x"));
    CHECK_FALSE(decode_tasks(bad));
    CHECK_FALSE(decode_results(bad));
    CHECK_FALSE(decode_stream(bad));
    CHECK_FALSE(decode_control(bad));
    CHECK_FALSE(decode_coordinator_status(bad));
    CHECK_FALSE(decode_submission(bad));
  }
}

TEST_CASE("any result is unchanged after encoding and decoding") {
  CHECK(rc::check(
      [](std::uint64_t low, int attempt, const std::string& code, const std::string& message, bool retryable) {
        TaskResult result;
        result.id = TaskId{Ulid{low >> 3U, low}};
        result.attempt = 1 + std::abs(attempt % 1000);
        result.status = ResultStatus::failed;
        result.error = TaskError{code, message, retryable, 1500ms};
        std::size_t first = 0;
        const auto decoded = decode_results(encode_results(session, {result}, first));
        RC_ASSERT(decoded.ok());
        RC_ASSERT(decoded->results.good.size() == 1U);
        RC_ASSERT(decoded->results.good[0].id == result.id);
        RC_ASSERT(decoded->results.good[0].attempt == result.attempt);
        RC_ASSERT(decoded->results.good[0].error->retryable == retryable);
      }));
}

TEST_CASE("an error is cut between two characters, so that encoding it again does not change it") {
  std::string long_one = "x";
  for (int i = 0; i < 3000; ++i) long_one += "\u00e9";
  const auto error = decode_error("{\"code\":\"" + std::string(63, 'x') + "\u00e9\",\"message\":\"" + long_one + "\"}");
  REQUIRE(error);
  CHECK(error->code == std::string(63, 'x'));
  CHECK(error->message == long_one.substr(0, limits::error_bytes - 1));
  std::string sent;
  append_error(sent, {"c", long_one, false, {}});
  REQUIRE(decode_error(sent));
  CHECK(decode_error(sent)->message == error->message);
}

TEST_CASE("a running time is exact to the nanosecond after encoding and decoding") {
  for (const std::int64_t nanoseconds : {0LL, 1LL, 249LL, 999'999'937LL, 86'400'000'000'001LL}) {
    TaskResult result;
    result.id = id;
    result.run = Duration{nanoseconds};
    std::size_t first = 0;
    const auto decoded = decode_results(encode_results(session, {result}, first));
    REQUIRE(decoded);
    CHECK(decoded->results.good.at(0).run == result.run);
  }
}

TEST_CASE("a submission is checked field by field, and the error names the field") {
  const auto good = decode_submission(
      R"({"capability":"image.blur","input":{"b":1,"a":2},"priority":-3,"timeout_ms":5000,"max_attempts":1,
          "where":{"room":"cellar"},"delay_ms":100,"expires_after_ms":1000,"name":"n","idempotency_key":"k"})");
  REQUIRE(good);
  CHECK(good->spec.input == R"({"b":1,"a":2})");
  CHECK(good->spec.timeout == 5s);
  CHECK(good->spec.where.at("room") == "cellar");
  const auto problem = [](const char* text) { return decode_submission(text).error().message; };
  CHECK(problem(R"({"input":1})").find("`capability`") != std::string::npos);
  CHECK(problem(R"({"capability":"echo","priorty":1})") == "`priorty` is not a field; did you mean `priority`?");
  CHECK(problem(R"({"capability":"echo","inputs":1})") == "`inputs` is not a field; did you mean `input`?");
  CHECK(problem(R"({"capability":"echo","xyzzy":1})") == "`xyzzy` is not a field");
  CHECK(problem(R"({"capability":"X"})").find("`capability`") != std::string::npos);
  CHECK(problem(R"({"capability":"x","priority":"high"})").find("`priority`") != std::string::npos);
  CHECK(problem(R"({"capability":"x","timeout_ms":0})").find("`timeout_ms`") != std::string::npos);
  CHECK(problem(R"({"capability":"x","max_attempts":0})").find("`max_attempts`") != std::string::npos);
  CHECK(problem(R"({"capability":"x","where":{"a":1}})").find("`where`") != std::string::npos);
  const auto large = decode_submission(R"({"capability":"x","input":")" + std::string(300'000, 'x') + "\"}");
  REQUIRE_FALSE(large);
  CHECK(large.error().kind == ErrorKind::too_large);
}

TEST_CASE("temperatures that cannot be measured are refused") {
  for (const char* bad : {"1e308", "-1e308", "1001"}) {
    INFO(bad);
    CHECK_FALSE(protocol::decode_temperature(R"({"session":"s","celsius":)" + std::string(bad) + "}"));
    CHECK_FALSE(protocol::decode_temperature(R"({"session":"s","trend_per_minute":)" + std::string(bad) + "}"));
  }
  CHECK(protocol::decode_temperature(R"({"session":"s","celsius":85.5})"));
}
