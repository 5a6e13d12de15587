// The core alone: the cost of a placement decision with 10,000 agents and a million queued tasks.
#include <benchmark/benchmark.h>

#include "coordinator/core/step.hpp"

namespace {

using namespace edgefleet;
using namespace edgefleet::coordinator;

const Capability work = *Capability::parse("work");

ExecutorView executor(unsigned number) {
  ExecutorView view;
  view.agent = number;
  view.agent_name = *AgentName::parse("pi-" + std::to_string(number));
  view.info.name = *ExecutorName::parse("main");
  view.info.capabilities = {work};
  view.info.slots = 4;
  view.slots = 4;
  view.open = true;
  return view;
}

// One decision: choose executor and task, account for it, and free the slot as a result does. The tasks are of so many
// clients.
void placement_decision(benchmark::State& state) {
  Placement placement;
  const auto agents = static_cast<unsigned>(state.range(0));
  const auto tasks = state.range(1);
  std::vector<ExecutorIndex> executors;
  for (unsigned i = 0; i < agents; ++i) executors.push_back(placement.add(executor(i)));
  const auto clients = static_cast<std::uint64_t>(state.range(2));
  const auto in = placement.class_of({work, {}});
  const Placement::Idle nobody_idle = [](AgentIndex) { return false; };
  std::int64_t order = 0;
  const auto enqueue = [&](std::uint64_t client) {  // the id tells whose it is
    ++order;
    const TaskId id{Ulid{static_cast<std::uint64_t>(order), client}};
    placement.enqueue(in, static_cast<ClientIndex>(client), {order, id});
  };
  while (order < tasks) enqueue(static_cast<std::uint64_t>(order) % clients);
  std::vector<ExecutorIndex> busy;
  std::size_t oldest = 0;
  for (auto unused : state) {
    const auto choice = placement.next([](const TaskId&) { return Placement::Preferences{}; }, nobody_idle, Time{});
    placement.update(choice->executor, [](ExecutorView& view) { ++view.assigned; });
    busy.push_back(choice->executor);
    if (busy.size() - oldest > agents * 3ULL) {
      placement.update(busy[oldest++], [](ExecutorView& view) { --view.assigned; });
    }
    enqueue(choice->task.id.low);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(placement_decision)
    ->ArgNames({"agents", "tasks", "clients"})
    ->Args({10, 1000, 1})
    ->Args({10'000, 1'000'000, 1})
    ->Args({10'000, 1'000'000, 1000})
    ->Unit(benchmark::kMicrosecond);

// The whole core for one task: submit, place, result, forget; on 10,000 agents with a million tasks waiting elsewhere.
void life_of_a_task(benchmark::State& bench) {
  const Now now{Time{std::chrono::hours(1)}, WallTime{1'700'000'000'000}};
  State state(Reign{1, *SessionId::parse("c")}, 1);
  state.policy.most_tasks = 10'000'000;
  state.policy.most_bytes = std::size_t{1} << 40U;
  step(state, BrokerUp{}, now);
  for (int i = 0; i < bench.range(0); ++i) {
    const auto name = *AgentName::parse("pi-" + std::to_string(i));
    AgentInfo info;
    info.session = *SessionId::parse("s");
    ExecutorInfo offered;
    offered.name = *ExecutorName::parse("main");
    offered.capabilities = {work};
    offered.slots = 4;
    info.executors = {offered};
    step(state, AgentInfoSeen{name, info}, now);
    Heartbeat beat;
    beat.session = info.session;
    beat.coordinator = state.reign;
    beat.free_slots[offered.name] = 4;
    step(state, HeartbeatSeen{name, beat}, now);
    step(state, AgentStatusSeen{name, {AgentState::online, info.session}}, now);
  }
  TaskSpec waiting;
  waiting.capability = *Capability::parse("nobody");
  std::vector<std::string> names;
  for (int i = 0; i < bench.range(2); ++i) names.push_back("client-" + std::to_string(i));
  std::size_t turn = 0;
  const auto submit = [&](const TaskSpec& spec) {
    step(state, SubmitTasks{0, names[turn++ % names.size()], {}, {{spec, {}}}}, now);
  };
  for (std::int64_t i = 0; i < bench.range(1); ++i) submit(waiting);
  step(state, Place{}, now);
  TaskSpec spec;
  spec.capability = work;
  for (auto unused : bench) {
    submit(spec);
    Committed committed;
    for (const auto& effect : step(state, Place{}, now)) {
      const auto* send = std::get_if<SendTasks>(&effect);
      if (send == nullptr) continue;
      TaskResult result;
      result.id = send->tasks.front().id;
      step(state, ResultsSeen{send->agent, {result}}, now);
      committed.ended.push_back(result.id);
    }
    step(state, committed, now);
  }
  bench.SetItemsProcessed(bench.iterations());
}
BENCHMARK(life_of_a_task)
    ->ArgNames({"agents", "waiting", "clients"})
    ->Args({10, 0, 1})
    ->Args({10'000, 1'000'000, 1})
    ->Args({10'000, 1'000'000, 1000})
    ->MinTime(3)
    ->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
