#include "edge-agent/sensors/temperature.hpp"

#include <fstream>

#include "edge-agent/sensors/system.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;

namespace {
void zone(const test::TemporaryFolder& sys, int number, const std::string& text) {
  const std::string folder = sys.path() + "/class/thermal/thermal_zone" + std::to_string(number);
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/temp") << text << '\n';
}
}  // namespace

TEST_CASE("the hottest believable zone is the temperature") {
  const test::TemporaryFolder sys;
  const Thermometer thermometer(sys.path());
  CHECK_FALSE(thermometer.celsius());
  zone(sys, 0, "45123");
  zone(sys, 1, "61300");
  zone(sys, 2, "-40000");
  zone(sys, 3, "200000");
  zone(sys, 4, "rubbish");
  REQUIRE(thermometer.celsius());
  CHECK(*thermometer.celsius() == Approx(61.3));
}

TEST_CASE("the firmware's flags are spelled out") {
  CHECK(spell_throttled(0).empty());
  CHECK(spell_throttled(0x50005) == std::vector<std::string>{"undervoltage now", "throttled now",
                                                             "undervoltage since boot", "throttled since boot"});
  CHECK(spell_throttled(0x80008) ==
        std::vector<std::string>{"soft temperature limit now", "soft temperature limit since boot"});
}

TEST_CASE("boards have short names") {
  CHECK(short_board_name("Raspberry Pi 4 Model B Rev 1.4") == "pi4");
  CHECK(short_board_name("Raspberry Pi 3 Model B Plus Rev 1.3") == "pi3");
  CHECK(short_board_name("Raspberry Pi Zero 2 W Rev 1.0") == "pizero2");
  CHECK(short_board_name("OptiPlex 7010").empty());
}
