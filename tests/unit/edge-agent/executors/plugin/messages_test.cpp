#include "edge-agent/executors/plugin/messages.hpp"

#include "common/protocol/json.hpp"
#include "edge-agent/executors/plugin/child.hpp"
#include "edge-agent/executors/plugin/config.hpp"
#include "tests/support/catch.hpp"

namespace edgefleet::agent {
namespace {

const std::string id = "01J00000000000000000000001";

std::string problem_of_hello(const std::string& line) {
  const auto hello = parse_hello(line);
  return hello.ok() ? "" : hello.error().message;
}

PluginResult result_of(const std::string& rest) {
  auto message = parse_plugin_line(R"({"type":"result","id":")" + id + R"(","attempt":2)" + rest + "}");
  REQUIRE(message.ok());
  REQUIRE(std::holds_alternative<PluginResult>(*message));
  return std::get<PluginResult>(*message);
}

TEST_CASE("a hello may describe the inputs of its capabilities") {
  const auto hello = parse_hello(
      R"({"type":"hello","protocol":1,"capabilities":["a","b"],"parameters":{"a": {"type":"object"},"c":7}})");
  REQUIRE(hello.ok());
  CHECK(hello->parameters == std::map<Capability, JsonText>{{*Capability::parse("a"), R"({"type":"object"})"}});
  CHECK(problem_of_hello(R"({"type":"hello","protocol":1,"capabilities":["a"],"parameters":[]})") != "");
}

TEST_CASE("a description that cannot be used is no reason to refuse a hello") {
  for (const char* schema : {"true", "null", "7", R"("text")", "[]"}) {
    CAPTURE(schema);
    const auto hello = parse_hello(R"({"type":"hello","protocol":1,"capabilities":["a"],"parameters":{"a":)" +
                                   std::string(schema) + "}}");
    REQUIRE(hello.ok());
    CHECK(hello->parameters.at(*Capability::parse("a")) == schema);
  }
  CHECK(parse_hello(R"({"type":"hello","protocol":1,"capabilities":["a"],"parameters":null})").ok());
}

TEST_CASE("a hello has capabilities and slots") {
  const auto hello = parse_hello(
      R"({"type":"hello","protocol":1,"name":"image","version":"0.1.0","capabilities":["image.resize","a"],"slots":2})");
  REQUIRE(hello.ok());
  CHECK(hello->capabilities.size() == 2);
  CHECK(hello->capabilities.front().str() == "image.resize");
  CHECK(hello->slots == 2);
  CHECK(hello->version == "0.1.0");
}

TEST_CASE("the error of an invalid hello has the reason") {
  CHECK(problem_of_hello("Traceback...") == "its first line is not a hello: Traceback...");
  CHECK(problem_of_hello("[]").find("not a hello") != std::string::npos);
  CHECK(problem_of_hello(R"({"type":"result"})").find("not a hello") != std::string::npos);
  CHECK(problem_of_hello(R"({"type":"hello","protocol":2,"capabilities":["a"]})") == "its hello is not of protocol 1");
  CHECK(problem_of_hello(R"({"type":"hello","protocol":1})").find("capabilities") != std::string::npos);
  CHECK(problem_of_hello(R"({"type":"hello","protocol":1,"capabilities":[]})").find("capabilities") !=
        std::string::npos);
  CHECK(problem_of_hello(R"({"type":"hello","protocol":1,"capabilities":["A b"]})").find("\"A b\"") !=
        std::string::npos);
  CHECK(problem_of_hello(R"({"type":"hello","protocol":1,"capabilities":["a"],"slots":0})").find("slots") !=
        std::string::npos);
  CHECK(problem_of_hello(R"({"type":"hello","protocol":1,"capabilities":["a"],"slots":"2"})").find("slots") !=
        std::string::npos);
  CHECK(problem_of_hello(std::string(100, '[')).find("not a hello") != std::string::npos);
}

TEST_CASE("a result has an output or an error") {
  CHECK(result_of(R"(,"output":{"n":1.0})").output == R"({"n":1.0})");
  CHECK(result_of(R"(,"output":null)").output == "null");
  CHECK_FALSE(result_of(R"(,"output":1,"error":null)").error);
  const auto failed = result_of(R"(,"error":{"code":"bad_input","message":"no","retryable":true})");
  REQUIRE(failed.error);
  CHECK(failed.error->code == "bad_input");
  CHECK(failed.error->message == "no");
  CHECK(failed.error->retryable);
  CHECK_FALSE(result_of(R"(,"error":{"code":"bad_input"})").error->retryable);
  CHECK(result_of("").error->code == "plugin_error");
  CHECK(result_of(R"(,"error":"boom")").error->code == "plugin_error");
  CHECK(result_of(R"(,"error":{"code":"Not A Word","message":"m"})").error->code == "plugin_error");
}

TEST_CASE("a line that is not a message is refused") {
  CHECK_FALSE(parse_plugin_line("hello").ok());
  CHECK_FALSE(parse_plugin_line("").ok());
  CHECK_FALSE(parse_plugin_line("\xFF").ok());
  CHECK_FALSE(parse_plugin_line(R"({"type":"strange"})").ok());
  CHECK_FALSE(parse_plugin_line(R"({"type":"result"})").ok());
  CHECK_FALSE(parse_plugin_line(R"({"type":"result","id":"x","attempt":1})").ok());
  CHECK_FALSE(parse_plugin_line(R"({"type":"progress","id":")" + id + R"(","attempt":0})").ok());
}

TEST_CASE("progress is kept within its bounds") {
  const auto line = [](const std::string& rest) {
    auto message = parse_plugin_line(R"({"type":"progress","id":")" + id + R"(","attempt":1)" + rest + "}");
    REQUIRE(message.ok());
    return std::get<PluginProgress>(*message).progress;
  };
  CHECK(line(R"(,"percent":40,"text":"half")").percent == 40);
  CHECK(line(R"(,"percent":40,"text":"half")").text == "half");
  CHECK(line(R"(,"percent":1000)").percent == 100);
  CHECK(line("").percent == -1);
  CHECK(line(",\"text\":\"" + std::string(100'000, 'x') + '"').text.size() == 4096);
}

TEST_CASE("a task with any input is one line") {
  Job job;
  job.id = *TaskId::parse(id);
  job.capability = *Capability::parse("a.b");
  job.timeout = std::chrono::seconds(60);
  const std::string line = task_line(job, "{\n \"a\":\r\n \"x\\ny\" }", "/s");
  CHECK(line ==
        R"({"type":"task","id":")" + id +
            R"(","attempt":1,"capability":"a.b","input":{  "a":   "x\ny" },"timeout_ms":60000,"scratch":"/s"})" + "\n");
  CHECK(cancel_line({job.id, 3}) == R"({"type":"cancel","id":")" + id + "\",\"attempt\":3}\n");
}

TEST_CASE("mistakes in the configuration of a plug-in are found when it is read") {
  const PluginSettings good{"image", {"image-plugin"}, {}, {}};
  const auto changed = [&](const std::function<void(PluginSettings&)>& change) {
    auto settings = good;
    change(settings);
    const auto config = PluginConfig::check(settings);
    return config.ok() ? std::string() : config.error().message;
  };
  REQUIRE(PluginConfig::check(good).ok());
  CHECK(PluginConfig::check(good)->executor.str() == "plugin-image");
  CHECK(changed([](auto& s) { s.name = "Image"; }).find("plugin 'Image': the name") == 0);
  CHECK(changed([](auto& s) { s.argv = {}; }).find("names no program") != std::string::npos);
  CHECK(changed([](auto& s) { s.argv.push_back(std::string("\0", 1)); }).find("NUL") != std::string::npos);
  CHECK(changed([](auto& s) { s.env["="] = ""; }).find("env") != std::string::npos);
  CHECK(changed([](auto& s) { s.restart_first_s = 0; }).find("restart_first_s") != std::string::npos);
  CHECK(changed([](auto& s) { s.artifact_files = 1000; }).find("artifact_files") != std::string::npos);
}

TEST_CASE("the output of a plug-in is logged at a bounded rate") {
  LogBudget budget;
  Time now{std::chrono::hours(1)};
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += budget.take(now) ? 1 : 0;
  CHECK(taken == 50);
  CHECK(budget.take_suppressed() == 950);
  now += std::chrono::seconds(1);
  for (int i = 0; i < 1000; ++i) taken += budget.take(now) ? 1 : 0;
  CHECK(taken == 60);
}

}  // namespace
}  // namespace edgefleet::agent
