// The claims of docs/heat.md.
#include "tests/simulation/heat/scenarios.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::simulation;
using namespace std::chrono_literals;

namespace {

Outcome on_pi4(const Workload& work, Care care, double air = room) {
  return simulate(pi4(), air, work, care, simulated);
}

Workload endless(Duration task) {
  Workload work = short_endless();
  work.task = task;
  return work;
}

}  // namespace

TEST_CASE("the model agrees with measurements on boards") {
  Board idle(pi4(), 25);
  CHECK(idle.celsius() == Approx(25 + 27).margin(2));
  Board busy(pi4(), 25);
  double minutes = 0;
  for (; busy.celsius() < 80 && minutes < 30; minutes += 1.0 / 600) busy.run(100ms, 4);
  CHECK(minutes == Approx(3).margin(1));
  Board plus(pi3_plus(), 25);
  CHECK(plus.celsius() == Approx(25 + 22).margin(2));
  plus.run(100ms, 4);
  CHECK_FALSE(plus.throttled());
  for (int i = 0; i < 600 * 30; ++i) plus.run(100ms, 4);
  CHECK(plus.speed() == Approx(1200.0 / 1400));
  CHECK(plus.celsius() < 80);
}

TEST_CASE("short work: never throttled, and as much of it done as without a policy") {
  const Outcome without = on_pi4(short_bursts(), Care::none);
  const Outcome ours = on_pi4(short_bursts(), Care::policy);
  CHECK(without.throttled > 10min);
  CHECK(ours.throttled == Duration{0});
  CHECK(ours.above == Duration{0});
  CHECK(ours.finished >= without.finished);
}

TEST_CASE("endless short work: never throttled in any room, at the documented cost") {
  for (const double air : {15.0, 25.0, 35.0}) {
    for (const Duration task : {5s, 30s, 60s}) {
      const Outcome ours = on_pi4(endless(task), Care::policy, air);
      INFO("air " << air << ", task " << to_ms(task) << " ms, highest " << ours.highest);
      CHECK(ours.throttled == Duration{0});
      CHECK(ours.above == Duration{0});
    }
  }
  const double without = on_pi4(short_endless(), Care::none).core_hours;
  const double ours = on_pi4(short_endless(), Care::policy).core_hours;
  CHECK(ours > 0.68 * without);
  CHECK(ours < without);  // a board that throttles at 81 degrees dissipates more heat than one that stays below 78
}

TEST_CASE("ten-minute LLM tasks: a process of the agent is kept below 80, a server beside it cannot be") {
  for (const double air : {15.0, 25.0, 35.0}) {
    const Outcome process = on_pi4(llm_process(), Care::policy, air);
    INFO("air " << air << ", highest " << process.highest);
    CHECK(process.above == Duration{0});
    CHECK(process.throttled == Duration{0});
  }
  const Outcome without = on_pi4(llm_process(), Care::none);
  CHECK(on_pi4(llm_process(), Care::policy).core_hours > 0.65 * without.core_hours);
  const Outcome server = on_pi4(llm_server(), Care::policy);
  CHECK(server.throttled > simulated / 2);
  CHECK(server.core_hours > 0.95 * without.core_hours);
}

TEST_CASE("there is a margin for boards and rooms that differ from the model") {
  BoardModel loose_chip = pi4();
  loose_chip.chip_resistance *= 1.4;
  BoardModel light = pi4();
  light.board_capacity *= 0.6;
  BoardModel overclocked = pi4();
  overclocked.core_watts *= 1.35;
  BoardModel still_air = pi4();
  still_air.board_resistance *= 1.2;
  for (const BoardModel& model : {loose_chip, light, overclocked, still_air}) {
    for (const double air : {15.0, 25.0, 35.0}) {
      for (const Workload& work : {endless(5s), endless(30s), endless(60s), llm_process(), short_bursts()}) {
        const Outcome ours = simulate(model, air, work, Care::policy, 1h);
        INFO(work.name << ", air " << air << ", highest " << ours.highest);
        CHECK(ours.above == Duration{0});
      }
    }
  }
}

TEST_CASE("`heat = firmware` costs nothing and changes nothing") {
  for (const auto& work : {short_bursts(), short_endless(), llm_process()}) {
    const Outcome without = on_pi4(work, Care::none);
    const Outcome firmware = on_pi4(work, Care::firmware);
    CHECK(firmware.finished == without.finished);
    CHECK(firmware.throttled == without.throttled);
    CHECK(firmware.frozen == Duration{0});
  }
}

TEST_CASE("a 3B+ stays ten degrees cooler, and the soft limit lowers its clock nevertheless") {
  const Outcome ours = simulate(pi3_plus(), room, short_bursts(), Care::policy, simulated);
  const Outcome without = simulate(pi3_plus(), room, short_bursts(), Care::none, simulated);
  CHECK(ours.finished >= without.finished);
  CHECK(ours.highest < 68);
  CHECK(without.throttled > 1h);
  CHECK(ours.throttled > 1h);
}
