// Placement by loaded models, and by the conversations that agents have read.
#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

struct Fleet : Conversation {
  // The agents have one slot and both models, one of them loaded at a time.
  void tell(const std::string& name, const std::string& loaded) {
    AgentInfo birth = info(name, 1, "llm.chat");
    birth.executors[0].provider = "ollama";
    birth.executors[0].models = {"coder", "writer"};
    if (!loaded.empty()) birth.executors[0].loaded_models = {loaded};
    receive(AgentInfoSeen{agent(name), std::move(birth)});
  }
  void serve(const std::string& name, const std::string& loaded) {
    tell(name, loaded);
    beat(name, name, 1, {});
    receive(AgentStatusSeen{agent(name), {AgentState::online, session(name)}});
    place();
  }
  TaskId ask(const std::string& model, std::vector<std::uint64_t> beginnings = {}, int priority = 0) {
    SubmitTasks::One one;
    one.spec.capability = capability("llm.chat");
    one.spec.where = {{"model", model}};
    one.spec.priority = priority;
    one.beginnings = std::move(beginnings);
    receive(SubmitTasks{1, "test", {}, {std::move(one)}});
    const TaskId id = find<Accepted>()->ids.front();
    place();
    return id;
  }
  // The run takes half a minute, so that no task is prefetched.
  void answered(const std::string& name, const TaskId& id) {
    receive(ResultsSeen{agent(name), {TaskResult{id, 1, ResultStatus::succeeded, "42", {}, 30s, {}, {}}}});
    place();
  }
  // Time passes while the agent runs this task.
  void pass_at(const std::string& name, const TaskId& id, int beats) {
    for (int i = 0; i < beats; ++i) {
      pass(heartbeat_interval);
      beat(name, name, 0, {holding(id)});
    }
  }
  [[nodiscard]] std::string why(const TaskId& id) const { return explain_task(state, state.tasks.at(id), now.mono); }
};

}  // namespace

TEST_CASE("a request waits a bounded time for the agent that has its model loaded") {
  Fleet c;
  c.serve("one", "coder");
  c.serve("two", "writer");
  const auto first = c.ask("coder");
  CHECK(c.holder(first) == "one");
  const auto second = c.ask("coder");
  CHECK(c.holder(second).empty());
  CHECK(c.why(second).find("other models loaded") != std::string::npos);
  SECTION("the agent becomes free in time") {
    c.pass(5s);
    c.answered("one", first);
    CHECK(c.holder(second) == "one");
  }
  SECTION("the agent does not become free in time") {
    CHECK(next_deadline(c.state) == c.now.mono + Placement::load_patience);
    c.pass(Placement::load_patience);
    CHECK(c.holder(second) == "two");
  }
  SECTION("the agent is lost: the request does not wait") {
    c.receive(AgentStatusSeen{agent("one"), {AgentState::lost, session("one")}});
    c.place();
    CHECK(c.holder(second) == "two");
  }
  SECTION("an agent without a loaded model takes it at once") {
    c.serve("three", "");
    CHECK(c.holder(second) == "three");
  }
}

TEST_CASE("an agent continues with its loaded model, as long as no older task is overtaken by more than a minute") {
  Fleet c;
  c.serve("only", "coder");
  const auto running = c.ask("coder");
  const auto other = c.ask("writer");
  c.pass_at("only", running, 3);
  const auto same = c.ask("coder");
  c.answered("only", running);
  CHECK(c.holder(same) == "only");
  CHECK(c.holder(other).empty());
  c.pass_at("only", same, 4);
  const auto late = c.ask("coder");
  c.answered("only", same);
  CHECK(c.holder(other) == "only");
  CHECK(c.holder(late).empty());
}

TEST_CASE("a task that was put off is placed when the task that it was put off for is no longer queued") {
  Fleet c;
  c.serve("only", "coder");
  const auto running = c.ask("coder");
  const auto other = c.ask("writer");
  const auto same = c.ask("coder");
  c.receive(CancelTask{2, same});
  c.answered("only", running);
  CHECK(c.holder(other) == "only");
}

TEST_CASE("a more urgent task is not put off") {
  Fleet c;
  c.serve("only", "coder");
  const auto running = c.ask("coder");
  const auto same = c.ask("coder");
  const auto urgent = c.ask("writer", {}, 2);
  c.answered("only", running);
  CHECK(c.holder(urgent) == "only");
  CHECK(c.holder(same).empty());
}

TEST_CASE("an agent that was given another model is assumed to have loaded it and unloaded the one before") {
  Fleet c;
  c.serve("one", "coder");
  c.serve("two", "coder");
  const auto writer = c.ask("writer");  // loaded nowhere
  const auto with = c.holder(writer);
  const std::string without = with == "one" ? "two" : "one";
  c.answered(with, writer);
  CHECK(c.holder(c.ask("coder")) == without);
  CHECK(c.holder(c.ask("writer")) == with);
}

TEST_CASE("the next turn of a conversation goes to the agent that holds its beginning") {
  Fleet c;
  for (const std::string name : {"a", "b", "c", "d", "e", "f"}) c.serve(name, "coder");
  const auto first = c.ask("coder", {11});
  const auto holder = c.holder(first);
  c.answered(holder, first);
  const auto second = c.ask("coder", {11, 12, 13});
  CHECK(c.holder(second) == holder);
  SECTION("if it is busy, another agent takes the turn") {
    const auto third = c.ask("coder", {11, 12, 13, 14, 15});
    CHECK_FALSE(c.holder(third).empty());
    CHECK(c.holder(third) != holder);
  }
  SECTION("if it has changed its model, it is no longer preferred") {
    c.answered(holder, second);
    c.tell(holder, "writer");
    CHECK(c.holder(c.ask("coder", {11, 12, 13, 14, 15})) != holder);
  }
}

TEST_CASE("an agent that becomes free takes its conversation before slightly older requests") {
  Fleet c;
  c.serve("one", "coder");
  const auto first = c.ask("coder", {11});
  c.answered("one", first);
  const auto unrelated = c.ask("coder", {21});
  c.pass(1s);
  const auto older = c.ask("coder", {31});
  c.pass(10s);
  const auto next = c.ask("coder", {11, 12, 13});
  c.answered("one", unrelated);
  CHECK(c.holder(next) == "one");
  c.answered("one", next);
  CHECK(c.holder(older) == "one");
  CHECK(c.state.placement.queues().empty());
}

TEST_CASE("conversations are bounded, and the least recently used is removed") {
  Conversations known;
  for (std::uint64_t i = 1; i <= Conversations::most; ++i) known.given(i, agent("one"));
  known.given(1, agent("two"));
  known.given(Conversations::most + 1, agent("one"));
  CHECK(known.holder({1}) == agent("two"));
  CHECK(known.holder({2}).empty());
  CHECK(known.holder({3, 999'999}) == agent("one"));
}

TEST_CASE("a model is also found by its name without :latest") {
  Fleet c;
  AgentInfo birth = c.info("one", 1, "llm.chat");
  birth.executors[0].provider = "ollama";
  birth.executors[0].models = {"mistral:latest", "coder:1.3b"};
  c.receive(AgentInfoSeen{agent("one"), birth});
  c.beat("one", "one", 1, {});
  c.receive(AgentStatusSeen{agent("one"), {AgentState::online, session("one")}});
  c.place();
  for (const std::string name : {"mistral", "mistral:latest", "ollama/mistral"}) {
    const auto id = c.ask(name);
    CHECK(c.holder(id) == "one");
    c.answered("one", id);
  }
  CHECK(c.holder(c.ask("coder")).empty());
}
