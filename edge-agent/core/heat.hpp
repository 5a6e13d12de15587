// When an agent takes less because it is hot, and when it takes more again. Pure: readings in, a policy out.
#pragma once

#include <deque>
#include <optional>

#include "common/core/agent.hpp"
#include "common/core/time.hpp"

namespace edgefleet::agent {

// Degrees Celsius. The defaults are for a Pi 4 and 5, whose firmware throttles from 80 C
// (https://www.raspberrypi.com/documentation/computers/config_txt.html#overclocking: temp_limit 85, soft throttling
// 80).
struct HeatLimits {
  double reduce = 70;   // half the slots from here on
  double pause = 78;    // no new tasks from here on
  double normal = 65;   // everything again below this
  bool observe_only = false;  // the owner leaves it to the firmware
  Duration look_ahead = std::chrono::seconds(30);  // on a rising trend, act on what it will be by then
};

class Heat {
 public:
  explicit Heat(HeatLimits limits) : limits_(limits) {}

  // A reading; none: the board has no sensor, or it says nonsense.
  void read(std::optional<double> celsius, Time now);
  [[nodiscard]] HeatPolicy policy() const { return policy_; }
  [[nodiscard]] std::optional<double> celsius() const { return celsius_; }
  [[nodiscard]] double trend_per_minute() const;

 private:
  static constexpr Duration remembered = std::chrono::seconds(20);  // for the trend
  HeatLimits limits_;
  HeatPolicy policy_ = HeatPolicy::normal;
  std::optional<double> celsius_;
  std::deque<std::pair<Time, double>> readings_;
};

}  // namespace edgefleet::agent
