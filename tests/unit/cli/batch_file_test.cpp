#include "cli/core/batch_file.hpp"

#include <sstream>

#include "common/protocol/json.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::cli;

namespace {

const Capability echo = *Capability::parse("echo");

BatchFile read(const std::string& text, const std::optional<Capability>& fallback = std::nullopt) {
  std::istringstream in(text);
  return read_batch(in, fallback);
}

}  // namespace

TEST_CASE("each line is a task and is passed on unchanged") {
  const auto file = read("\xEF\xBB\xBF{\"capability\":\"echo\",\"input\": 1.50}\r\n\n  {\"capability\":\"a.b\"}");
  CHECK(file.faults.empty());
  REQUIRE(file.tasks.size() == 2);
  CHECK(file.tasks[0].json == "{\"capability\":\"echo\",\"input\": 1.50}");
  CHECK(file.tasks[0].line == 1);
  CHECK(file.tasks[1].line == 3);
}

TEST_CASE("with --capability, a line is an input or a task that may omit the capability") {
  const auto file =
      read("5\n{\"path\":\"x\"}\n{\"input\":7,\"priority\":2}\n{\"capability\":\"other\",\"input\":1}\n[ ]\n", echo);
  CHECK(file.faults.empty());
  REQUIRE(file.tasks.size() == 5);
  CHECK(file.tasks[0].json == R"({"capability":"echo","input":5})");
  CHECK(file.tasks[1].json == R"({"capability":"echo","input":{"path":"x"}})");
  CHECK(file.tasks[2].json == R"({"capability":"echo","input":7,"priority":2})");
  CHECK(file.tasks[3].json == R"({"capability":"other","input":1})");
  CHECK(file.tasks[4].json == R"({"capability":"echo","input":[ ]})");
}

TEST_CASE("invalid lines are listed by number, valid lines are kept") {
  const auto file = read(
      "{\"capability\":\"echo\"}\nnonsense\n{\"capability\":\"Echo\"}\n{\"capability\":\"echo\",\"prio\":1}\n"
      "{\"input\":1}\n7\n{\"capability\":\"echo\"}\n");
  CHECK(file.tasks.size() == 2);
  REQUIRE(file.faults.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(file.faults[i].line == i + 2);
  CHECK(file.faults[0].message == "not valid JSON");
  CHECK(file.faults[2].message.starts_with("`prio` is not a field"));
}

TEST_CASE("every field of a task is checked") {
  const auto with = [](const std::string& member) {
    return task_of_line("{\"capability\":\"echo\"," + member + "}", {}).ok();
  };
  for (const char* good :
       {R"("priority":-1000)", R"("timeout_ms":1)", R"("max_attempts":100)", R"("where":{"a":"b"})", R"("where":{})",
        R"("name":"x")", R"("idempotency_key":"k")", R"("delay_ms":0)", R"("input":null)"}) {
    CAPTURE(good);
    CHECK(with(good));
  }
  for (const char* bad : {R"("priority":1001)", R"("priority":1.5)", R"("priority":"1")", R"("timeout_ms":-1)",
                          R"("max_attempts":0)", R"("where":{"a":1})", R"("where":{"memory>":"4GB"})", R"("where":[])",
                          R"("name":7)", R"("delay_ms":99999999999999)", R"("capability":1)"}) {
    CAPTURE(bad);
    CHECK_FALSE(with(bad));
  }
  CHECK_FALSE(with("\"name\":\"" + std::string(201, 'x') + "\""));
  CHECK_FALSE(with("\"input\":\"" + std::string(limits::most_task_bytes, 'x') + "\""));
  CHECK_FALSE(task_of_line('"' + std::string(limits::most_task_bytes, 'x') + '"', echo));
}

TEST_CASE("chunks keep the order and stay within both bounds") {
  std::vector<BatchTask> tasks;
  for (std::size_t i = 1; i <= 25; ++i) tasks.push_back({i, "{\"capability\":\"echo\"}"});
  const auto by_count = split(tasks, 10, 1'000'000);
  REQUIRE(by_count.size() == 3);
  CHECK(by_count[2].size() == 5);
  CHECK(by_count[1].front().line == 11);

  std::size_t seen = 0;
  for (const auto chunk : split(tasks, 1000, 100)) {
    CHECK(to_body(chunk).size() <= 100);
    for (const auto& task : chunk) CHECK(task.line == ++seen);
  }
  CHECK(seen == 25);
  CHECK(split(std::span<const BatchTask>{}).empty());
  CHECK(split(tasks, 10, 1).size() == 25);  // a task alone may be larger
}

TEST_CASE("a chunk is one JSON document") {
  const std::vector<BatchTask> tasks = {{1, "{\"a\":1}"}, {2, "{\"b\":2}"}};
  CHECK(to_body(tasks) == R"({"tasks":[{"a":1},{"b":2}]})");
}

TEST_CASE("faults of one kind are one line, with the ranges of its lines") {
  const std::vector<LineFault> faults{{1, "a"}, {2, "a"}, {3, "b"}, {4, "a"}};
  CHECK(grouped_faults(faults) == std::vector<std::string>{"lines 1-2, 4 (3 lines): a", "line 3: b"});
  CHECK(grouped_faults({}).empty());
  std::vector<LineFault> scattered;
  for (std::size_t line = 1; line <= 39; line += 2) scattered.push_back({line, "x"});
  CHECK(grouped_faults(scattered) ==
        std::vector<std::string>{"lines 1, 3, 5, 7, 9, 11, 13, 15 and 12 more (20 lines): x"});
}
