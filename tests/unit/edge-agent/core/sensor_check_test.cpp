#include "edge-agent/core/sensor_check.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;

namespace {

ZoneReading zone(std::optional<double> celsius, const std::string& name = "zone0", bool cpu = true) {
  if (!celsius) return {name, cpu, std::nullopt, "rubbish"};
  return {name, cpu, *celsius * 1000, std::to_string(*celsius * 1000)};
}

ZoneReading raw(double value) { return {"zone0", true, value, std::to_string(static_cast<int>(value))}; }

struct Watched {
  SensorCheck check;
  Time now{1h};
  SensorCheck::Verdict says(const std::vector<ZoneReading>& zones, double load = 0, Duration later = 2s) {
    now += later;
    return check.judge(zones, load, now);
  }
  SensorCheck::Verdict says(double celsius, double load = 0, Duration later = 2s) {
    return says(std::vector{zone(celsius)}, load, later);
  }
};

}  // namespace

TEST_CASE("the hottest of the processor's zones counts") {
  Watched board;
  const auto verdict = board.says({zone(50, "a"), zone(60, "b"), zone(90, "battery", false)});
  CHECK(*verdict.celsius == 60);
  CHECK(verdict.sensor == "b");
  CHECK(verdict.problem.empty());
  CHECK(verdict.expected);
}

TEST_CASE("other zones count if the processor has none, and may disappear") {
  Watched pc;
  CHECK(*pc.says({zone(27.8, "acpitz", false)}).celsius == Approx(27.8));
  const auto gone = pc.says(std::vector<ZoneReading>{});
  CHECK_FALSE(gone.celsius);
  CHECK_FALSE(gone.expected);
  CHECK(gone.problem.empty());
}

TEST_CASE("a board without zones has no problem") {
  Watched vm;
  const auto verdict = vm.says(std::vector<ZoneReading>{});
  CHECK_FALSE(verdict.celsius);
  CHECK_FALSE(verdict.expected);
  CHECK(verdict.problem.empty());
}

TEST_CASE("a sensor that disappears is a problem until it is back") {
  Watched board;
  board.says(50);
  const auto gone = board.says(std::vector<ZoneReading>{});
  CHECK_FALSE(gone.celsius);
  CHECK(gone.expected);
  CHECK(gone.problem == "sensor zone0 has disappeared");
  CHECK(board.says(50).problem.empty());
}

TEST_CASE("an impossible reading is ignored") {
  Watched board;
  CHECK(board.says(-40).problem == "sensor zone0 reads -40.0 C, which is impossible");
  CHECK(board.says(200).problem == "sensor zone0 reads 200.0 C, which is impossible");
  CHECK(board.says({zone({})}).problem == "sensor zone0 reads \"rubbish\", which is not a number");
  CHECK_FALSE(board.says(200).celsius);
  const auto other = board.says({zone(200), zone(55, "b")});  // one wrong sensor does not affect the others
  CHECK(*other.celsius == 55);
  CHECK_FALSE(other.problem.empty());
}

TEST_CASE("a jump counts once it is confirmed") {
  Watched board;
  board.says(45);
  CHECK(*board.says(60).celsius == 60);  // all cores have begun
  const auto jumped = board.says(120);
  CHECK_FALSE(jumped.celsius);
  CHECK(jumped.problem == "sensor zone0 jumped from 60.0 C to 120.0 C");
  CHECK(*board.says(60).celsius == 60);
  for (int i = 0; i < 2; ++i) CHECK_FALSE(board.says(120).celsius);
  CHECK(*board.says(119).celsius == 119);
  CHECK(*board.says(118).celsius == 118);
}

TEST_CASE("a reading may be constant, but not while the load changes") {
  Watched board;
  for (Duration past{0}; past < 20min; past += 2s) REQUIRE(board.says(48.3, 0.1).celsius);
  CHECK(board.says(48.3, 0.4).celsius);
  const auto frozen = board.says(48.3, 0.9);
  CHECK_FALSE(frozen.celsius);
  CHECK(frozen.problem == "sensor zone0 has read exactly 48.3 C for minutes while the load changed");
  CHECK(board.says(48.8, 0.9).celsius);
  for (Duration past{0}; past < 4min; past += 2s) REQUIRE(board.says(50.0, past < 2min ? 0.0 : 1.0).celsius);
}

TEST_CASE("a zone that tells whole degrees is believed in degrees, and this is told once") {
  Watched board;
  const auto hot = board.says({raw(92)});
  REQUIRE(hot.celsius);
  CHECK(*hot.celsius == 92);
  CHECK(hot.problem.empty());
  CHECK(hot.sensor == "zone0, which tells whole degrees");
  CHECK(hot.notice == "sensor zone0 tells whole degrees: its 92 is taken for 92 C");
  const auto next = board.says({raw(93)});
  CHECK(*next.celsius == 93);
  CHECK(next.notice.empty());
  CHECK(*board.says({raw(-3)}, 0, 1min).celsius == -3);
}

TEST_CASE("a zone keeps the unit of millidegrees once it has shown it") {
  Watched board;
  const auto first = board.says({raw(92'000)});
  CHECK(*first.celsius == 92);
  CHECK(first.sensor == "zone0");
  Watched outdoors;
  CHECK(*outdoors.says({raw(1500)}).celsius == 1.5);
  CHECK(*outdoors.says({raw(92)}).celsius == Approx(0.092));
  CHECK(*outdoors.says({raw(-450)}).celsius == Approx(-0.45));
}

TEST_CASE("a zone whose driver is corrected from degrees to millidegrees is followed") {
  Watched board;
  CHECK(*board.says({raw(45)}).celsius == 45);
  CHECK(*board.says({raw(46'000)}).celsius == 46);
}

TEST_CASE("a value that is plausible in no unit is a problem, not a cold processor") {
  Watched board;
  const auto verdict = board.says({raw(450)});
  CHECK_FALSE(verdict.celsius);
  CHECK(verdict.expected);
  CHECK(verdict.problem == "sensor zone0 reads 450, which is plausible neither in millidegrees nor in degrees");
  CHECK(*board.says({raw(0)}).celsius == 0);  // the same in both
}
