// Reads the board's temperature and its firmware's reaction. edge-agent/core checks and interprets the values.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace edgefleet::agent {

// One of class/thermal/thermal_zone*.
struct ThermalZone {
  std::string name;               // "thermal_zone0 (cpu-thermal)"
  bool cpu = true;                // by its type; one without a type counts as the processor's
  std::optional<double> value;    // none: its content is not a number
  std::string text;               // its content
};

class Thermometer {
 public:
  // `sys`: the root of sysfs, "/sys"; tests have their own.
  explicit Thermometer(std::string sys) : sys_(std::move(sys)) {}

  [[nodiscard]] std::vector<ThermalZone> zones() const;  // sorted by name
  // The Raspberry Pi firmware's flags spelled out; empty if there are none. A flag that was set once is "since boot"
  // from then on: the kernel's voltage monitor clears the firmware's own memory every two seconds.
  [[nodiscard]] std::vector<std::string> throttled();

 private:
  [[nodiscard]] unsigned firmware_flags() const;
  [[nodiscard]] bool undervoltage_alarm() const;

  std::string sys_;
  unsigned seen_ = 0;
};

// Bits of the firmware's GET_THROTTLED:
// https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
std::vector<std::string> spell_throttled(unsigned flags);

// By the type of a thermal zone: cpu-thermal, soc-thermal, x86_pkg_temp, bigcore0-thermal, ...
bool of_processor(const std::string& zone_type);

}  // namespace edgefleet::agent
