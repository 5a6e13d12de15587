// When an agent reduces its capacity because it is hot, and when it restores it. Pure: readings in, a policy out.
// The effect of each number, and the reason for its value: docs/heat.md.
#pragma once

#include <deque>
#include <optional>
#include <string_view>

#include "common/core/agent.hpp"
#include "common/core/time.hpp"

namespace edgefleet::agent {

// Degrees Celsius. The defaults are for boards whose firmware throttles from 80 C, as every Raspberry Pi's does
// (https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#frequency-management-and-thermal-control),
// and were chosen by `./dev sim-heat`.
struct HeatLimits {
  double reduce = 75;  // from here on, half the slots
  double pause = 78;   // from here on, no new tasks, and running ones are slowed
  double normal = 73;  // below this, a quarter of the slots is restored at a time
  double cool = 5;     // all slots are restored at once if it is this much cooler than `normal`
  bool observe_only = false;  // only the firmware reacts to heat
  Duration look_ahead = std::chrono::seconds(30);  // on a rising trend, the predicted temperature decides,
  double most_ahead = 2;  // at most this far above it: a chip jumps by 15 degrees when work begins, then warms slowly
  Duration settle = std::chrono::seconds(10);  // between two quarters: the effect of the last one must show first
  Duration hold = std::chrono::minutes(1);  // how long the last valid reading counts after the sensor fails
};

// `model`: the name of the board in the device tree.
HeatLimits limits_for_board(std::string_view model);

class Heat {
 public:
  explicit Heat(HeatLimits limits) : limits_(limits) {}

  // From the next reading on; an agent that now only observes is no longer slowed.
  void use(const HeatLimits& limits, Time now);
  // A plausible reading. None: there is no sensor (`expected` false: usual for a PC), or there should be one and it
  // has no plausible reading.
  void read(std::optional<double> celsius, Time now, bool expected = true);
  [[nodiscard]] HeatPolicy policy() const { return policy_; }
  [[nodiscard]] std::optional<double> celsius() const { return celsius_; }
  [[nodiscard]] double trend_per_minute() const;
  // The share of its slots that each executor may use: 1 if normal, a quarter to three quarters if reduced, 0 if
  // paused.
  [[nodiscard]] double share() const { return policy_ == HeatPolicy::paused ? 0 : share_; }
  // The share of time in which the agent's own processes are stopped, so that the board cools.
  [[nodiscard]] double frozen_share() const;

 private:
  void decide(Time now);
  void decide_reduced(Time now);
  void go_to(HeatPolicy policy, double share, Time now);
  void without_sensor(Time now, bool expected);
  [[nodiscard]] double soon() const;

  static constexpr Duration remembered = std::chrono::seconds(20);  // for the trend
  HeatLimits limits_;
  HeatPolicy policy_ = HeatPolicy::normal;
  double share_ = 1;
  Time changed_at_;
  std::optional<double> celsius_;
  std::optional<Time> blind_since_;
  std::deque<std::pair<Time, double>> readings_;
};

}  // namespace edgefleet::agent
