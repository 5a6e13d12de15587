// How warm the board is, and what its firmware does about it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace edgefleet::agent {

class Thermometer {
 public:
  // `sys`: the root of sysfs, "/sys"; tests have their own.
  explicit Thermometer(std::string sys) : sys_(std::move(sys)) {}

  // Degrees Celsius of the hottest zone of class/thermal/thermal_zone*/temp that is believable (-30 to 130); none
  // where there is no such zone.
  [[nodiscard]] std::optional<double> celsius() const;
  // The Raspberry Pi firmware's flags spelled out; empty where there are none.
  // https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
  [[nodiscard]] std::vector<std::string> throttled() const;

 private:
  std::string sys_;
};

std::vector<std::string> spell_throttled(unsigned flags);

}  // namespace edgefleet::agent
