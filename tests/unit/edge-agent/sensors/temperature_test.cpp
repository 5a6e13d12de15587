#include "edge-agent/sensors/temperature.hpp"

#include <fstream>

#include "edge-agent/sensors/machine.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;

namespace {

void put(const test::TemporaryFolder& sys, const std::string& path, const std::string& text) {
  const std::filesystem::path file = sys.path() + "/" + path;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text << '\n';
}

void zone(const test::TemporaryFolder& sys, int number, const std::string& text, const std::string& type = "") {
  const std::string folder = "class/thermal/thermal_zone" + std::to_string(number);
  put(sys, folder + "/temp", text);
  if (!type.empty()) put(sys, folder + "/type", type);
}

}  // namespace

TEST_CASE("every zone is read unchanged, with its name") {
  const test::TemporaryFolder sys;
  const Thermometer thermometer(sys.path());
  CHECK(thermometer.zones().empty());
  zone(sys, 0, "45123", "cpu-thermal");
  zone(sys, 1, "-40000", "iwlwifi_1");
  zone(sys, 2, "rub\x01ish");
  zone(sys, 3, "nan", "soc-thermal");
  std::filesystem::create_directories(sys.path() + "/class/thermal/thermal_zone4");
  const auto zones = thermometer.zones();
  REQUIRE(zones.size() == 4);
  CHECK(zones[0].name == "thermal_zone0 (cpu-thermal)");
  CHECK(*zones[0].value == 45123);
  CHECK(zones[0].cpu);
  CHECK(*zones[1].value == -40000);
  CHECK_FALSE(zones[1].cpu);
  CHECK_FALSE(zones[2].value);
  CHECK(zones[2].cpu);
  CHECK(zones[2].text == "rub?ish");
  CHECK_FALSE(zones[3].value);
}

TEST_CASE("the type identifies the processor's zones") {
  for (const char* type : {"cpu-thermal", "cpu_thermal", "soc-thermal", "x86_pkg_temp", "bigcore0-thermal", "CPU-therm",
                           "package_thermal"}) {
    CHECK(of_processor(type));
  }
  for (const char* type : {"acpitz", "iwlwifi_1", "gpu-thermal", "BAT0", "nvme"}) CHECK_FALSE(of_processor(type));
}

TEST_CASE("the firmware's flags are read from the kernels' files, and remembered") {
  const test::TemporaryFolder sys;
  Thermometer thermometer(sys.path());
  CHECK(thermometer.throttled().empty());
  SECTION("Raspberry Pi's kernel") {
    const auto* node = GENERATE("soc", "soc@107c000000");
    const std::string file = std::string("devices/platform/") + node + "/" + node + ":firmware/get_throttled";
    put(sys, file, "80008");
    const std::vector<std::string> limited{"soft temperature limit now", "soft temperature limit since boot"};
    CHECK(thermometer.throttled() == limited);
    put(sys, file, "0");  // the kernel cleared it
    CHECK(thermometer.throttled() == std::vector<std::string>{"soft temperature limit since boot"});
  }
  SECTION("any other kernel") {
    put(sys, "class/hwmon/hwmon0/name", "cpu_thermal");
    put(sys, "class/hwmon/hwmon1/name", "rpi_volt");
    put(sys, "class/hwmon/hwmon1/in0_lcrit_alarm", "1");
    const std::vector<std::string> low{"undervoltage now", "undervoltage since boot"};
    CHECK(thermometer.throttled() == low);
    put(sys, "class/hwmon/hwmon1/in0_lcrit_alarm", "0");
    CHECK(thermometer.throttled() == std::vector<std::string>{"undervoltage since boot"});
  }
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
