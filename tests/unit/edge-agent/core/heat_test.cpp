#include "edge-agent/core/heat.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;

namespace {

const HeatLimits defaults;

struct Board {
  Heat heat{HeatLimits{}};
  Time now{1h};
  HeatPolicy at(double celsius, Duration later = 2min) {  // long enough that there is no trend
    now += later;
    heat.read(celsius, now);
    return heat.policy();
  }
  HeatPolicy blind(Duration later, bool expected = true) {
    now += later;
    heat.read(std::nullopt, now, expected);
    return heat.policy();
  }
};

}  // namespace

TEST_CASE("heat halves the slots, then pauses, and slots are restored only when it is cooler") {
  Board board;
  CHECK(board.at(defaults.reduce - 5) == HeatPolicy::normal);
  CHECK(board.at(defaults.reduce) == HeatPolicy::reduced);
  CHECK(board.heat.share() == 0.5);
  CHECK(board.at(defaults.normal) == HeatPolicy::reduced);
  CHECK(board.at(defaults.pause) == HeatPolicy::paused);
  CHECK(board.heat.share() == 0);
  CHECK(board.at(defaults.reduce) == HeatPolicy::paused);
  CHECK(board.at(defaults.reduce - 1) == HeatPolicy::reduced);
  CHECK(board.heat.share() == 0.5);
}

TEST_CASE("one quarter of the slots is removed or restored at a time, after the effect of the last one has shown") {
  Board board;
  board.at(defaults.reduce);
  board.at(defaults.reduce, 2s);
  CHECK(board.heat.share() == 0.5);
  board.at(defaults.reduce, defaults.settle);
  CHECK(board.heat.share() == 0.25);
  board.at(defaults.normal - 1);
  CHECK(board.heat.share() == 0.5);
  board.at(defaults.normal - 1, 2s);
  CHECK(board.heat.share() == 0.5);
  board.at(defaults.normal - 1);
  CHECK(board.heat.share() == 0.75);
  CHECK(board.at(defaults.normal - 1) == HeatPolicy::normal);
  board.at(defaults.pause);
  CHECK(board.at(defaults.normal - defaults.cool - 1) == HeatPolicy::normal);  // much cooler: all at once
}

TEST_CASE("a predicted rise counts, but not more than the chip may still rise") {
  Board board;
  board.at(defaults.reduce - 5);
  CHECK(board.at(defaults.reduce - 2, 10s) == HeatPolicy::reduced);
  CHECK(board.heat.trend_per_minute() == Approx(18));
  Board idle;
  idle.at(50);
  CHECK(idle.at(65, 2s) == HeatPolicy::normal);  // all cores begin: 450 degrees a minute, for some seconds
}

TEST_CASE("processes that can be frozen are slowed while paused, and more above the limit") {
  Board board;
  board.at(defaults.reduce);
  CHECK(board.heat.frozen_share() == 0);
  board.at(defaults.pause);
  CHECK(board.heat.frozen_share() == 0.8);
  board.at(defaults.pause - 1);
  CHECK(board.heat.frozen_share() == 0.5);
}

TEST_CASE("after the last reading the policy holds for a while, then half the slots") {
  const double celsius = GENERATE(50.0, 85.0);
  Board board;
  const HeatPolicy before = board.at(celsius);
  CHECK(board.blind(2s) == before);
  CHECK_FALSE(board.heat.celsius());
  CHECK(board.blind(50s) == before);
  CHECK(board.blind(20s) == HeatPolicy::reduced);
  CHECK(board.at(50) == HeatPolicy::normal);  // the sensor works again
}

TEST_CASE("without a sensor the policy is normal") {
  Board board;
  CHECK(board.blind(1h, false) == HeatPolicy::normal);
  CHECK(board.blind(1h, false) == HeatPolicy::normal);
}

TEST_CASE("a sensor that is not of the processor may disappear from a hot board") {
  Board board;
  CHECK(board.at(85) == HeatPolicy::paused);
  board.blind(2s, false);
  CHECK(board.blind(2min, false) == HeatPolicy::reduced);
}

TEST_CASE("with heat left to the firmware the agent only observes") {
  HeatLimits firmware;
  firmware.observe_only = true;
  Heat heat{firmware};
  heat.read(95, Time{1h});
  heat.read(std::nullopt, Time{2h});
  heat.read(std::nullopt, Time{3h});
  CHECK(heat.policy() == HeatPolicy::normal);
}

TEST_CASE("boards with a soft limit act ten degrees earlier") {
  for (const char* model : {"Raspberry Pi 3 Model B Plus Rev 1.3", "Raspberry Pi 3 Model A Plus Rev 1.0"}) {
    CHECK(limits_for_board(model).reduce == defaults.reduce - 10);
    CHECK(limits_for_board(model).pause == defaults.pause - 10);
    CHECK(limits_for_board(model).normal == defaults.normal - 10);
  }
  for (const char* model : {"Raspberry Pi 4 Model B Rev 1.4", "Raspberry Pi 3 Model B Rev 1.2", "OptiPlex 7010", ""}) {
    CHECK(limits_for_board(model).reduce == defaults.reduce);
  }
}
