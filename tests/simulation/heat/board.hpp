// The temperature of a Raspberry Pi: two masses, the chip and the board, and a firmware that lowers the clock. Sources
// of the numbers: docs/heat.md.
#pragma once

#include <string>

#include "common/core/time.hpp"

namespace edgefleet::simulation {

// Watts, degrees Celsius, kelvin, joules; clocks in MHz.
struct BoardModel {
  std::string name;
  std::string device_tree;  // the model name in the device tree
  double board_watts = 0;   // all but the chip
  double idle_watts = 0;    // of the chip
  double core_watts = 0;    // more for each busy core at full clock and voltage
  double chip_resistance = 0;    // K/W, chip to board
  double chip_capacity = 0;      // J/K
  double board_resistance = 0;   // K/W, board to air, when it is 20 K warmer than the air
  double board_capacity = 0;     // J/K
  double full_clock = 0;
  double least_clock = 0;        // the clock at `hard_limit`
  double least_voltage = 0;      // at that clock, as a part of the voltage at full clock
  double throttle_from = 80;     // from here the clock falls linearly,
  double hard_limit = 85;        // down to `least_clock` here
  double soft_limit = 1000;      // from here the clock is soft_clock
  double soft_clock = 0;
  double soft_back = 2;          // the clock rises again when the chip is this much cooler
};

const BoardModel& pi4();
const BoardModel& pi3_plus();

class Board {
 public:
  Board(const BoardModel& model, double air);

  // `busy`: how many cores' worth of work runs, at most 4.
  void run(Duration time, double busy);

  [[nodiscard]] double celsius() const { return chip_; }
  [[nodiscard]] double speed() const { return clock_ / model_.full_clock; }
  [[nodiscard]] bool throttled() const { return clock_ < model_.full_clock; }

 private:
  void choose_clock();
  [[nodiscard]] double chip_watts(double busy) const;

  const BoardModel& model_;
  double air_;
  double chip_;
  double board_;
  double clock_;
  bool soft_ = false;
};

}  // namespace edgefleet::simulation
