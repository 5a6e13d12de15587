#include "cli/core/models.hpp"

#include "cli/core/fleet_view.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::cli;

namespace {

const Look plain{0, false, WallTime{1763695215000}};

Document document(const std::string& text) {
  auto parsed = parse_document(text);
  REQUIRE(parsed);
  return *parsed;
}

const char* fleet = R"({"agents":[
  {"name":"pi-4","state":"online","labels":{"board":"pi4"},"executors":[
    {"name":"llm-ollama","capabilities":["llm.chat"],"provider":"ollama","models":["tinyllama:latest","deepseek-coder:1.3b"],
     "loaded_models":["deepseek-coder:1.3b"]},
    {"name":"llm-ollama-models","capabilities":["llm.load","llm.pull","llm.remove"],"provider":"ollama",
     "notice":"fetching x: 4 % of 1.1 GB"},
    {"name":"echo","capabilities":["echo"],"problem":"not about models"}]},
  {"name":"pi-5","state":"overheated","labels":{"board":"pi5"},"executors":[
    {"name":"llm-ollama","capabilities":["llm.chat"],"provider":"ollama","problem":"the back end has no model yet"},
    {"name":"llm-ollama-models","capabilities":["llm.load","llm.pull","llm.remove"],"provider":"ollama"}]},
  {"name":"pi-6","state":"lost","labels":{"board":"pi4"},"executors":[
    {"name":"llm-ollama","capabilities":["llm.chat"],"provider":"ollama","models":["tinyllama:latest"]},
    {"name":"llm-ollama-models","capabilities":["llm.load","llm.pull","llm.remove"],"provider":"ollama"}]},
  {"name":"x86","state":"online","labels":{},"executors":[{"name":"echo","capabilities":["echo"]}]}]})";

ModelOrder order_of(const std::string& verb, const std::string& model, Where where = {}) {
  ModelOrder order;
  order.verb = verb;
  order.model = model;
  order.where = std::move(where);
  order.only_holders = verb != "pull";
  return order;
}

std::string chosen(const ModelOrder& order) {
  const auto agents = choose_agents(document(fleet), order);
  if (!agents) return agents.error().message;
  std::string text;
  for (const auto& name : *agents) text += (text.empty() ? "" : " ") + name;
  return text;
}

Document running(const std::string& agent, const std::string& progress) {
  return document(R"({"id":"T-)" + agent + R"(","state":"running","where":{"agent":")" + agent + R"("},"progress":)" +
                  progress + "}");
}

}  // namespace

TEST_CASE("the models of a fleet are listed with their agents, which are loaded, and problems") {
  CHECK(show_models(document(fleet), plain) ==
        "MODEL                AGENT  EXECUTOR    PROVIDER  LOADED  PROBLEM\n"
        "deepseek-coder:1.3b  pi-4   llm-ollama  ollama    yes\n"
        "tinyllama:latest     pi-4   llm-ollama  ollama\n"
        "tinyllama:latest     pi-6   llm-ollama  ollama            the agent is lost\n"
        "-                    pi-5   llm-ollama  ollama            the back end has no model yet\n"
        "pi-4: llm-ollama-models: fetching x: 4 % of 1.1 GB\n");
  const std::string none =
      "no agent offers a language model; an agent needs an [[llm]] in its configuration (docs/llm.md)\n";
  CHECK(show_models(document(R"({"agents":[]})"), plain) == none);
  CHECK(show_models(document(R"({"agents":[{"executors":[{"models":"x","capabilities":7}]},3]})"), plain) == none);
}

TEST_CASE("a pull is for the matching agents that offer it") {
  CHECK(chosen(order_of("pull", "m")) == "pi-4 pi-5");
  CHECK(chosen(order_of("pull", "m", {{"board", "pi4"}})) == "pi-4");
  CHECK(chosen(order_of("pull", "m", {{"model", "tinyllama"}})) == "pi-4");
  CHECK(chosen(order_of("pull", "m", {{"agent", "pi-5"}})) == "pi-5");
}

TEST_CASE("remove and load are for the agents that have the model, or for the named agent") {
  CHECK(chosen(order_of("remove", "tinyllama")) == "pi-4");
  CHECK(chosen(order_of("load", "deepseek-coder:1.3b")) == "pi-4");
  CHECK(chosen(order_of("remove", "secret:7b", {{"agent", "pi-5"}})) == "pi-5");
}

TEST_CASE("if no agent matches, each is listed with the reason") {
  CHECK(chosen(order_of("pull", "m", {{"board", "pi3"}})) ==
        "no agent can pull m: pi-4 board is pi4; pi-5 board is pi5; pi-6 board is pi4; x86 has no board pi3");
  CHECK(chosen(order_of("remove", "m:7b", {{"board", "pi4"}})) ==
        "no agent can remove m:7b: pi-4 does not have m:7b; pi-5 board is pi5; pi-6 is lost; x86 has no board "
        "pi4");
  CHECK(chosen(order_of("load", "m", {{"agent", "x86"}})).find("x86 offers no llm.load") != std::string::npos);
  CHECK(chosen(order_of("load", "m", {{"agent", "x68"}})) == "agent x68 is not known; did you mean x86?");
  CHECK(chosen(order_of("load", "m", {{"agent", "x86"}})).find("pi-") == std::string::npos);
  CHECK(choose_agents(document(R"({"agents":[]})"), order_of("pull", "m")).error().message == no_agents);
}

TEST_CASE("a batch has a task for each agent") {
  auto order = order_of("pull", "deepseek-coder:1.3b");
  order.force = true;
  const auto body = document(to_body(order, {"pi-1", "pi-2"}));
  REQUIRE(body["tasks"].size() == 2);
  const auto& task = body["tasks"][1];
  CHECK(task["capability"] == "llm.pull");
  CHECK(task["input"] == Document({{"model", "deepseek-coder:1.3b"}, {"force", true}}));
  CHECK(task["where"]["agent"] == "pi-2");
  CHECK(task["timeout_ms"] == 24 * 3600 * 1000);
  auto load = order_of("load", "m");
  const auto kept = [&](const char* text) {
    load.keep_alive = text;
    return document(to_body(load, {"pi-1"}))["tasks"][0]["input"]["keep_alive"];
  };
  CHECK(kept("2h") == "2h");
  CHECK(kept("-1") == -1);
  CHECK(kept("--") == "--");
  load.model = "\xff";  // a shell can pass this
  CHECK(parse_document(to_body(load, {"pi-1"})));
}

TEST_CASE("each agent has a line with its progress, the speed and the remaining time") {
  ModelWatch watch;
  const Time start{};
  watch.take(running("pi-10", R"({"text":"pulling ab","percent":0,"completed_bytes":0,"total_bytes":104857600})"),
             start);
  watch.take(document(R"({"id":"T-pi-2","state":"queued","where":{"agent":"pi-2"}})"), start);
  CHECK(watch.waiting() == std::vector<std::string>{"T-pi-2"});
  watch.take_reason("T-pi-2", "queued: all agents are paused for heat");
  CHECK(watch.lines(100, 10) ==
        "pi-10  [>               ]   0 %  0 bytes of 100.0 MiB\n"
        "pi-2   queued: all agents are paused for heat");
  watch.take(
      running("pi-10", R"({"text":"pulling ab","percent":50,"completed_bytes":52428800,"total_bytes":104857600})"),
      start + std::chrono::seconds(10));
  CHECK(watch.lines(100, 10).starts_with(
      "pi-10  [========>       ]  50 %  50.0 MiB of 100.0 MiB, 5.0 MiB/s, 11 s left\n"));
  CHECK(watch.lines(30, 10).starts_with("pi-10  [========>       ]  50…\n"));
  CHECK(watch.lines(100, 1).starts_with("pi-10  "));
  CHECK_FALSE(watch.ended());
  watch.take(running("pi-10", R"({"text":"verifying","completed_bytes":104857600,"total_bytes":104857600})"),
             start + std::chrono::seconds(20));
  CHECK(watch.lines(100, 10).starts_with("pi-10  [================] 100 %  100.0 MiB of 100.0 MiB, verifying\n"));
  for (const char* id : {"T-pi-10", "T-pi-2"}) {
    watch.take(document(R"({"id":")" + std::string(id) + R"(","state":"succeeded","where":{"agent":"x"}})"), start);
  }
  CHECK(watch.ended());
  CHECK(watch.succeeded());
}

TEST_CASE("if there are more agents than lines, running tasks come first and the others are counted") {
  ModelWatch watch;
  for (int i = 0; i < 9; ++i) {
    watch.take(document(R"({"id":"T)" + std::to_string(i) + R"(","state":")" + (i < 5 ? "succeeded" : "running") +
                        R"(","where":{"agent":"pi-)" + std::to_string(i) + R"("}})"),
               Time{});
  }
  CHECK(watch.lines(80, 4) == "pi-5  running\npi-6  running\npi-7  running\nand 6 more");
}

TEST_CASE("an outcome is one line") {
  CHECK(show_model_outcome(document(R"({"state":"succeeded","where":{"agent":"pi-1"},"run_ms":182000,
    "output":{"model":"m:7b","bytes":776000000,"offered":true}})")) ==
        "pi-1  succeeded: m:7b, 740.1 MiB, in 3 min 2 s");
  CHECK(show_model_outcome(document(R"({"state":"succeeded","where":{"agent":"pi-1"},
    "output":{"model":"m:7b","offered":false,"why":"it is not in the list"}})")) ==
        "pi-1  succeeded: m:7b; not offered: it is not in the list");
  CHECK(show_model_outcome(document(R"({"state":"failed","where":{"agent":"pi-1"},
    "error":{"code":"insufficient_storage","message":"no\nroom"}})")) == "pi-1  failed: insufficient_storage: no room");
}
