// When an agent takes less because it is hot, and when it takes more again. Pure: readings in, a policy out.
// What each number does, and why it is what it is: docs/heat.md.
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
  double reduce = 75;  // half the slots from here on
  double pause = 78;   // no new tasks from here on, and what runs is slowed
  double normal = 73;  // below this a quarter of the slots comes back at a time
  double cool = 5;     // and all of them at once when it is so much cooler than that
  bool observe_only = false;  // the owner leaves it to the firmware
  Duration look_ahead = std::chrono::seconds(30);  // on a rising trend, act on what it will be by then,
  double most_ahead = 2;  // but by so much at most: a chip jumps by 15 degrees when work begins, and then is slow
  Duration settle = std::chrono::seconds(10);  // between two quarters: what the last one did must show first
  Duration hold = std::chrono::minutes(1);  // so long the last good reading counts once none comes
};

// `model`: what the device tree calls the board.
HeatLimits limits_for_board(std::string_view model);

class Heat {
 public:
  explicit Heat(HeatLimits limits) : limits_(limits) {}

  // A reading that can be believed. None: there is no sensor (`expected` false; a PC, which is normal), or there
  // should be one and it says nothing that can be believed.
  void read(std::optional<double> celsius, Time now, bool expected = true);
  [[nodiscard]] HeatPolicy policy() const { return policy_; }
  [[nodiscard]] std::optional<double> celsius() const { return celsius_; }
  [[nodiscard]] double trend_per_minute() const;
  // Part of its slots that each executor may use: 1 when normal, a quarter to three quarters when reduced, 0 when
  // paused.
  [[nodiscard]] double share() const { return policy_ == HeatPolicy::paused ? 0 : share_; }
  // Part of the time that the agent's own processes are to stand still, so that they cool.
  [[nodiscard]] double frozen_share() const;

 private:
  void decide(Time now);
  void decide_reduced(Time now);
  void go_to(HeatPolicy policy, double share, Time now);
  void go_without(Time now, bool expected);
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
