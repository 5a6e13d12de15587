#include <map>
#include <random>

#include "coordinator/core/placement.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

ExecutorView view(const std::string& name, int slots, std::map<std::string, std::string> labels = {}) {
  ExecutorView v;
  v.agent_name = agent(name);
  v.info.name = executor_name("main");
  v.info.capabilities = {capability("work")};
  v.info.slots = slots;
  v.labels = std::make_shared<const Labels>(std::move(labels));
  v.open = true;
  v.slots = slots;
  return v;
}

const Placement::Idle nobody_idle = [](AgentIndex) { return false; };

OrderKey key(std::int64_t order) { return {order, TaskId{Ulid{1, static_cast<std::uint64_t>(order)}}}; }

std::optional<Placement::Choice> next(Placement& p) {
  auto choice = p.next([](const TaskId&) { return Placement::Preferences{}; }, nobody_idle, Time{});
  if (choice) p.update(choice->executor, [](ExecutorView& v) { ++v.assigned; });
  return choice;
}

}  // namespace

TEST_CASE("the least busy executor is chosen, by share of its slots") {
  Placement p;
  const auto small = p.add(view("small", 2));
  const auto large = p.add(view("large", 6));
  std::map<ExecutorIndex, int> given;
  const auto in = p.class_of({capability("work"), {}});
  for (int i = 0; i < 8; ++i) p.enqueue(in, 0, key(i));
  while (const auto choice = next(p)) ++given[choice->executor];
  CHECK(given[small] == 2);
  CHECK(given[large] == 6);
}

TEST_CASE("conditions filter by label, agent and model") {
  Placement p;
  p.add(view("cellar", 1, {{"room", "cellar"}}));
  const auto attic = p.add(view("attic", 1, {{"room", "attic"}}));
  p.enqueue(p.class_of({capability("work"), {{"room", "attic"}}}), 0, key(1));
  p.enqueue(p.class_of({capability("work"), {{"agent", "attic"}}}), 0, key(2));
  p.enqueue(p.class_of({capability("work"), {{"model", "llama"}}}), 0, key(3));
  const auto first = next(p);
  REQUIRE(first);
  CHECK(first->executor == attic);
  CHECK_FALSE(next(p));
  p.update(attic, [](ExecutorView& v) { v.assigned = 0; });
  CHECK(next(p)->executor == attic);
  CHECK_FALSE(next(p));
}

TEST_CASE(
    "executors that have the model loaded come first while they have a free slot; then any executor with the model") {
  Placement p;
  const auto with_models = [](const std::string& name, std::vector<std::string> loaded) {
    ExecutorView v = view(name, 2);
    v.info.provider = "ollama";
    v.info.models = {"big", "small"};
    v.info.loaded_models = std::move(loaded);
    return v;
  };
  const auto warm = p.add(with_models("warm", {"big"}));
  const auto cold = p.add(with_models("cold", {}));
  const auto big = p.class_of({capability("work"), {{"model", "ollama/big"}}});
  for (int i = 0; i < 3; ++i) p.enqueue(big, 0, key(i));
  CHECK(next(p)->executor == warm);
  CHECK(next(p)->executor == warm);  // though the other one is idle
  CHECK(next(p)->executor == cold);
  p.enqueue(p.class_of({capability("work"), {{"model", "small"}}}), 0, key(4));
  CHECK(next(p)->executor == cold);
  p.enqueue(p.class_of({capability("work"), {{"model", "none"}}}), 0, key(5));
  CHECK_FALSE(next(p));
  // Loaded meanwhile: an agent that reports it is added again.
  p.remove(cold);
  const auto loaded = p.add(with_models("cold", {"small"}));
  p.enqueue(p.class_of({capability("work"), {{"model", "small"}}}), 0, key(6));
  p.update(warm, [](ExecutorView& v) { v.assigned = 0; });
  CHECK(next(p)->executor == loaded);
}

TEST_CASE("only tasks that an executor is expected to finish soon wait at it") {
  Placement p;
  const auto only = p.add(view("only", 1));
  const auto in = p.class_of({capability("work"), {}});
  for (int i = 0; i < 400; ++i) p.enqueue(in, 0, key(i));
  int given = 0;
  SECTION("unknown: none") {
    while (next(p)) ++given;
    CHECK(given == 1);
  }
  SECTION("50 ms each: five in 250 ms") {
    for (int i = 0; i < 10; ++i) p.learn(only, capability("work"), 50ms);
    while (next(p)) ++given;
    CHECK(given == 1 + 5);
  }
  SECTION("1 us each: 128") {
    for (int i = 0; i < 1000; ++i) p.learn(only, capability("work"), 1us);
    while (next(p)) ++given;
    CHECK(given == 1 + Placement::most_prefetched);
  }
  SECTION("at most as many as it has finished so far") {
    for (int i = 0; i < 3; ++i) p.learn(only, capability("work"), 1us);
    while (next(p)) ++given;
    CHECK(given == 1 + 3);
  }
}

TEST_CASE("a task avoids the agent that failed it as long as there is another one") {
  Placement p;
  const auto bad = p.add(view("bad", 4));
  const auto good = p.add(view("good", 1));
  const auto in = p.class_of({capability("work"), {}});
  const AgentName avoided = agent("bad");
  p.enqueue(in, 0, key(1));
  auto choice = p.next([&](const TaskId&) { return Placement::Preferences{&avoided, {}}; }, nobody_idle, Time{});
  REQUIRE(choice);
  CHECK(choice->executor == good);
  p.update(good, [](ExecutorView& v) { v.open = false; });
  p.enqueue(in, 0, key(2));
  choice = p.next([&](const TaskId&) { return Placement::Preferences{&avoided, {}}; }, nobody_idle, Time{});
  REQUIRE(choice);
  CHECK(choice->executor == bad);
}

TEST_CASE("after any changes, queued tasks are placed on free executors, and no executor gets more tasks than slots") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    Placement p;
    std::vector<ExecutorIndex> all;
    std::map<int, ClassIndex> queued;  // order -> class
    int order = 0;
    const std::vector<Where> wheres{{}, {{"room", "a"}}, {{"room", "b"}}, {{"agent", "pi-3"}}};
    for (int turn = 0; turn < 400; ++turn) {
      switch (pick(6)) {
        case 0:
          if (all.size() < 12) {
            all.push_back(
                p.add(view("pi-" + std::to_string(all.size()), 1 + pick(3), {{"room", pick(2) != 0 ? "a" : "b"}})));
          }
          break;
        case 1:
        case 2: {
          const auto in = p.class_of({capability("work"), wheres[static_cast<std::size_t>(pick(4))]});
          p.enqueue(in, 0, key(++order));
          queued[order] = in;
          break;
        }
        case 3:
          if (!all.empty()) {
            p.update(all[static_cast<std::size_t>(pick(static_cast<int>(all.size())))], [&](ExecutorView& v) {
              v.assigned = std::max(0, v.assigned - 1);
              v.open = pick(4) != 0;
            });
          }
          break;
        case 4:
          if (!queued.empty()) {
            const auto any = queued.begin();
            REQUIRE(p.dequeue(any->second, 0, key(any->first)));
            queued.erase(any);
          }
          break;
        default:
          while (const auto choice = next(p)) {
            const auto& v = p.executor(choice->executor);
            CHECK(v.open);
            CHECK(v.assigned <= v.slots);
            REQUIRE(queued.erase(static_cast<int>(choice->task.order)) == 1);
          }
          // Work-conserving: a task that still waits has no free executor.
          for (const auto& [number, in] : queued) {
            for (const auto member : p.members(in)) {
              const auto& v = p.executor(member);
              CHECK((!v.open || v.assigned >= v.slots));
            }
          }
      }
    }
  }
}
