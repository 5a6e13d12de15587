#include <algorithm>

#include "tests/support/agent.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

struct HotAgent : Conversation {
  std::uint64_t n = 0;

  explicit HotAgent(int slots, bool freezes = true) : Conversation(slots, freezes) {}
  void receive(const Event& event) {
    effects = step(state, event, now);
    const Effects flushed = step(state, Flush{}, now);
    effects.insert(effects.end(), flushed.begin(), flushed.end());
  }
  void celsius(double value) {
    now += 2min;  // no trend
    receive(Tick{});
    receive(TemperatureRead{{{"thermal_zone0", true, value * 1000, ""}}, {}, 0});
  }
  void give(const std::vector<std::uint64_t>& numbers) {
    TasksSeen seen{reign, ++n, work, {}};
    for (const auto number : numbers) seen.tasks.push_back({id(number), 1, "{}", 10min});
    receive(seen);
  }
  void done(std::uint64_t number, Duration run) {
    Finished finished;
    finished.key = {id(number), 1};
    finished.run = run;
    receive(finished);
  }
  // Like the shell: wakes at the core's deadline.
  Duration frozen_during(Duration length) {
    Duration frozen{0};
    for (const Time end = now + length; now < end;) {
      const Time next = std::min(next_deadline(state), end);
      REQUIRE(next > now);
      if (state.cooling.frozen) frozen += next - now;
      now = next;
      receive(Tick{});
    }
    return frozen;
  }
  int free() const { return free_slots(state).begin()->second; }
  template <typename E>
  std::size_t count() const {
    return static_cast<std::size_t>(
        std::count_if(effects.begin(), effects.end(), [](const auto& e) { return std::holds_alternative<E>(e); }));
  }
};

}  // namespace

TEST_CASE("reduced: half of several slots") {
  HotAgent agent(4);
  agent.celsius(HeatLimits{}.reduce);
  CHECK(agent.free() == 2);
}

TEST_CASE("reduced with one slot that can be frozen: half the speed, and no rest") {
  HotAgent agent(1);
  agent.give({1});
  agent.celsius(HeatLimits{}.reduce);
  CHECK(std::chrono::duration<double>(agent.frozen_during(100s)).count() == Approx(50));
  CHECK(std::chrono::duration<double>(held_list(agent.state, agent.now).at(0).extended).count() ==
        Approx(50).margin(2));
  agent.done(1, 1h);
  CHECK_FALSE(agent.state.cooling.frozen);
  CHECK(agent.free() == 1);
}

TEST_CASE("each quarter is reported to the coordinator, and waiting tasks start when one is restored") {
  HotAgent agent(4);
  agent.celsius(HeatLimits{}.reduce);
  agent.now += 20s;
  agent.give({1, 2, 3});
  agent.celsius(HeatLimits{}.normal - 1);
  CHECK(agent.count<StartTask>() == 1);
  CHECK(agent.count<SendBeat>() == 1);
}

TEST_CASE("reduced with several slots: they run at full speed") {
  HotAgent agent(4);
  agent.give({1, 2});
  agent.celsius(HeatLimits{}.reduce);
  CHECK(agent.frozen_during(10s) == Duration{0});
}

TEST_CASE("reduced with one slot that cannot be frozen: a rest as long as the work, at most two minutes") {
  HotAgent agent(1, false);
  agent.celsius(HeatLimits{}.reduce);
  agent.give({1, 2});
  agent.done(1, 30s);
  CHECK(agent.count<StartTask>() == 0);
  CHECK(agent.free() == 0);
  const auto back = std::find_if(agent.state.held.begin(), agent.state.held.end(),
                                 [](const auto& held) { return held.first.id == id(2); });
  CHECK(back->second.result.error->code == "resting");  // other agents may run it meanwhile
  agent.give({3});
  CHECK(agent.state.held.at({id(3), 1}).result.error->code == "resting");
  CHECK(next_deadline(agent.state) <= agent.now + 30s);
  agent.now += 30s;
  agent.receive(Tick{});
  CHECK(agent.free() == 1);
  agent.give({4});
  CHECK(agent.count<StartTask>() == 1);
  agent.done(4, 1h);
  agent.now += 2min;
  agent.receive(Tick{});
  CHECK(agent.free() == 1);
}

TEST_CASE("a long task that ends on a paused agent is followed by a rest too") {
  HotAgent agent(1, false);
  agent.give({1});
  agent.celsius(HeatLimits{}.pause);
  agent.done(1, 10min);
  REQUIRE(agent.state.executors.begin()->second.rests_until);
  CHECK(*agent.state.executors.begin()->second.rests_until == agent.now + 2min);
  agent.celsius(HeatLimits{}.reduce - 1);  // two minutes later
  CHECK(agent.state.heat.policy() == HeatPolicy::reduced);
  CHECK(agent.free() == 1);
}

TEST_CASE("very short tasks share a rest") {
  HotAgent agent(1, false);
  agent.celsius(HeatLimits{}.reduce);
  for (std::uint64_t task = 1; task <= 9; ++task) {
    agent.give({task});
    agent.done(task, 100ms);
    CHECK(agent.free() == 1);
  }
  agent.give({10});
  agent.done(10, 100ms);
  CHECK(agent.free() == 0);
}

TEST_CASE("a rest ends with the heat") {
  HotAgent agent(1, false);
  agent.celsius(HeatLimits{}.reduce);
  agent.give({1});
  agent.done(1, 1h);
  CHECK(agent.free() == 0);
  agent.now -= 119s;  // within the rest
  agent.celsius(40);
  CHECK(agent.free() == 1);
}

TEST_CASE(
    "paused: processes that can be frozen run at a fifth, then half of their speed, and the timeout is extended") {
  HotAgent agent(1);
  agent.give({1});
  agent.celsius(HeatLimits{}.pause + 1);
  CHECK(std::chrono::duration<double>(agent.frozen_during(100s)).count() == Approx(80));
  CHECK(std::chrono::duration<double>(held_list(agent.state, agent.now).at(0).extended).count() ==
        Approx(80).margin(2));
  agent.celsius(HeatLimits{}.pause - 1);
  CHECK(std::chrono::duration<double>(agent.frozen_during(100s)).count() == Approx(50));
  agent.celsius(40);
  CHECK_FALSE(agent.state.cooling.frozen);
  CHECK(agent.frozen_during(100s) == Duration{0});
  const Duration extended = held_list(agent.state, agent.now).at(0).extended;
  CHECK(extended == agent.state.cooling.frozen_for);
  agent.done(1, 5min);
  agent.give({2});
  CHECK(held_list(agent.state, agent.now).back().extended == Duration{0});  // only its own time
}

TEST_CASE("paused: an executor that cannot be frozen is not, nor is an idle agent") {
  HotAgent server(1, false);
  server.give({1});
  HotAgent idle(1);
  for (HotAgent* agent : {&server, &idle}) {
    agent->celsius(HeatLimits{}.pause + 1);
    CHECK(agent->frozen_during(10s) == Duration{0});
  }
  CHECK(held_list(server.state, server.now).at(0).extended == Duration{0});
}

TEST_CASE("after the end of the last task no process stays frozen") {
  HotAgent agent(1);
  agent.give({1});
  agent.celsius(HeatLimits{}.pause + 1);
  REQUIRE(agent.state.cooling.frozen);
  agent.done(1, 1min);
  CHECK(agent.count<FreezeWork>() == 1);
  CHECK_FALSE(agent.state.cooling.frozen);
}

TEST_CASE("a problem with the sensor is logged once, published, and its end is logged") {
  HotAgent agent(4);
  agent.celsius(50);
  CHECK(temperature_of(agent.state).sensor == "thermal_zone0");
  agent.receive(TemperatureRead{});
  CHECK(agent.count<WriteLog>() == 1);
  CHECK(agent.count<SendTemperature>() == 1);
  CHECK(temperature_of(agent.state).problem == "sensor thermal_zone0 has disappeared");
  agent.now += 2s;
  agent.receive(TemperatureRead{});
  CHECK(agent.count<WriteLog>() == 0);
  CHECK(agent.free() == 4);
  agent.now += 2min;
  agent.receive(TemperatureRead{});
  CHECK(agent.free() == 2);  // half the slots
  agent.celsius(50);
  CHECK(agent.count<WriteLog>() == 2);  // and the policy is normal again
  CHECK(temperature_of(agent.state).problem.empty());
  CHECK(agent.free() == 4);
}
