#include "cli/core/llm_bench.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet::cli;

namespace {

const Look plain{0, false, {}};

Document document(const std::string& text) {
  auto parsed = parse_document(text);
  REQUIRE(parsed);
  return *parsed;
}

// An agent with the given executors, each defined by its provider and its models.
std::string agent(const std::string& name, const std::string& executors,
                  const std::string& more = R"("placeable":true)") {
  return R"({"name":")" + name + R"(","state":"online",)" + more + R"(,"executors":[)" + executors + "]}";
}
std::string executor(const std::string& provider, const std::string& models, const char* capability = "llm.chat") {
  return std::string(R"({"capabilities":["llm.generate",")") + capability + R"("],"provider":")" + provider +
         R"(","models":[)" + models + "]}";
}
Document fleet(const std::string& agents) { return document(R"({"agents":[)" + agents + "]}"); }

Document success_with(const std::string& usage) { return document(R"({"state":"succeeded","usage":)" + usage + "}"); }

Document input_of(const std::optional<std::string>& body) {
  REQUIRE(body);
  return document(*body)["input"];
}

}  // namespace

TEST_CASE("every model of every available agent is measured, or only those with the given name") {
  const auto all = fleet(
      agent("pi-1", executor("ollama", R"("a","b")")) + "," + agent("pi-2", executor("openai", R"("b")")) + "," +
      agent("pi-3", executor("openai", R"("b")"), R"("placeable":false,"drained":true)") + "," +
      agent("pi-4", executor("openai", R"("x")", "llm.embed")) + "," + agent("pi-5", R"({"capabilities":["echo"]})"));
  const auto every = plan_llm_bench(all, "");
  CHECK(every.pairs == std::vector<LlmPair>{{"pi-1", "a"}, {"pi-1", "b"}, {"pi-2", "b"}});
  CHECK(every.left_out == std::vector<std::string>{"pi-3 is drained: it is given no tasks"});

  CHECK(plan_llm_bench(all, "b").pairs == std::vector<LlmPair>{{"pi-1", "b"}, {"pi-2", "b"}});
  CHECK(plan_llm_bench(all, "openai/b").pairs == std::vector<LlmPair>{{"pi-2", "openai/b"}});

  const auto none = plan_llm_bench(all, "c");
  CHECK(none.pairs.empty());
  CHECK(nothing_to_ask(none, "c") == "no available agent offers the model \"c\"; other models: a, b");
  CHECK(nothing_to_ask(plan_llm_bench(fleet(""), ""), "") == "no available agent offers a language model");
}

TEST_CASE("a model that two executors of an agent have is measured on both") {
  const auto twice = fleet(agent("pi-1", executor("ollama", R"("m","n")") + "," + executor("openai", R"("m")")));
  CHECK(plan_llm_bench(twice, "").pairs ==
        std::vector<LlmPair>{{"pi-1", "ollama/m"}, {"pi-1", "n"}, {"pi-1", "openai/m"}});
  CHECK(plan_llm_bench(twice, "m").pairs == std::vector<LlmPair>{{"pi-1", "m"}});  // any executor with a free slot
}

TEST_CASE("the median is the middle number, or the mean of the two in the middle") {
  CHECK_FALSE(median({}));
  CHECK(median({3}) == 3.0);
  CHECK(median({9, 1, 2}) == 2.0);
  CHECK(median({9, 1, 2, 4}) == 3.0);
}

TEST_CASE("a request is a task for one agent and one model, and no two requests begin alike") {
  LlmBench bench({{"pi-1", "m"}}, {"", "Why?", 16, 2});
  const auto task = document(*bench.next(0));
  CHECK(task["capability"] == "llm.chat");
  CHECK(task["where"] == document(R"({"agent":"pi-1","model":"m"})"));
  CHECK(task["max_attempts"] == 1);
  CHECK(task["input"]["max_tokens"] == 16);
  CHECK(task["input"]["messages"][0]["content"] == "Run 1 of 2. Why?");
  CHECK(bench.next(0) == bench.next(0));
  bench.ended(0, success_with(R"({"completion_tokens":16})"));
  CHECK(input_of(bench.next(0))["messages"][0]["content"] == "Run 2 of 2. Why?");
  bench.ended(0, success_with(R"({"completion_tokens":16})"));
  CHECK_FALSE(bench.next(0));
}

TEST_CASE("the models of an agent are measured one after another, the agents in parallel") {
  LlmBench bench({{"pi-1", "m"}, {"pi-1", "n"}, {"pi-2", "m"}}, {"", "Why?", 16, 1});
  REQUIRE(bench.lanes() == 2);
  CHECK(input_of(bench.next(0))["model"] == "m");
  CHECK(input_of(bench.next(1))["model"] == "m");
  CHECK(bench.progress({"running on pi-1", ""}) == "0 of 3 requests; pi-1: m 1 of 1, running on pi-1; pi-2: m 1 of 1");
  bench.ended(1, success_with(R"({"completion_tokens":5})"));
  CHECK_FALSE(bench.next(1));
  bench.ended(0, success_with(R"({"completion_tokens":5})"));
  CHECK(input_of(bench.next(0))["model"] == "n");
  CHECK(bench.progress({"", ""}) == "2 of 3 requests; pi-1: n 1 of 1");
  bench.ended(0, success_with(R"({"completion_tokens":5})"));
  CHECK_FALSE(bench.next(0));
  CHECK_FALSE(bench.any_failed());
}

TEST_CASE("the table has medians, the first load, and a line for each failure") {
  LlmBench bench({{"pi-1", "m"}, {"pi-2", "m"}, {"pi-3", "m"}}, {"", "Why?", 128, 3});
  bench.ended(
      0, success_with(R"({"completion_tokens":128,"load_ms":8120,"first_token_ms":9000,"tokens_per_second":3.0})"));
  bench.ended(0,
              success_with(R"({"completion_tokens":128,"load_ms":20,"first_token_ms":1210,"tokens_per_second":3.26})"));
  bench.ended(0,
              success_with(R"({"completion_tokens":90,"load_ms":21,"first_token_ms":1190,"tokens_per_second":4.0})"));
  bench.ended(1, success_with(R"({"completion_tokens":128,"first_token_ms":400,"tokens_per_second":20})"));
  bench.ended(1, document(R"({"state":"failed","attempts":[{"n":1,"agent":"pi-2"}],
    "error":{"code":"backend_timed_out","message":"silent for 60 s"}})"));
  CHECK_FALSE(bench.next(1));  // the third request is skipped
  bench.failed(2, "refused\x1b[2J");
  CHECK(bench.any_failed());
  CHECK(bench.show(plain) ==
        "AGENT  MODEL  LOAD s  FIRST TOKEN ms  TOKENS/S  TOKENS\n"
        "pi-1   m         8.1            1210       3.3     128\n"
        "pi-2   m           -             400      20.0     128\n"
        "pi-3   m           -               -         -       -\n"
        "pi-2, m: failed: backend_timed_out: silent for 60 s\n"
        "pi-3, m: refused [2J\n");
  const auto json = bench.document();
  CHECK(json["tokens"] == 128);
  CHECK(json["results"][0]["load_ms"] == 8120.0);
  CHECK(json["results"][0]["first_token_ms"] == 1210.0);
  CHECK(json["results"][0]["runs"].size() == 3);
  CHECK_FALSE(json["results"][1].contains("load_ms"));
  CHECK(json["results"][1]["failure"] == "failed: backend_timed_out: silent for 60 s");
}

TEST_CASE("a result without figures is a failure too") {
  LlmBench bench({{"pi-1", "m"}, {"pi-2", "m"}, {"pi-3", "m"}}, {"", "Why?", 128, 3});
  bench.ended(0, document(R"({"state":"succeeded"})"));
  bench.ended(1, document(R"({"state":"expired"})"));
  bench.ended(2, document(R"({"state":"cancelled"})"));
  const auto text = bench.show(plain);
  CHECK(text.find("pi-1, m: its back end does not report the number of tokens\n") != std::string::npos);
  CHECK(text.find("pi-2, m: no slot became free within 5 minutes\n") != std::string::npos);
  CHECK(text.find("pi-3, m: cancelled\n") != std::string::npos);
}
