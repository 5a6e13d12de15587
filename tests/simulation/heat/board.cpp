#include "tests/simulation/heat/board.hpp"

#include <algorithm>
#include <cmath>

namespace edgefleet::simulation {
namespace {

BoardModel make_pi4() {
  BoardModel b;
  b.name = "Pi 4";
  b.device_tree = "Raspberry Pi 4 Model B Rev 1.4";
  b.board_watts = 1.2;
  b.idle_watts = 0.9;
  b.core_watts = 0.725;
  b.chip_resistance = 5;
  b.chip_capacity = 1.2;
  b.board_resistance = 10.8;
  b.board_capacity = 20;
  b.full_clock = 1500;
  b.least_clock = 600;
  b.least_voltage = 0.93;
  return b;
}

BoardModel make_pi3_plus() {
  BoardModel b;
  b.name = "Pi 3B+";
  b.device_tree = "Raspberry Pi 3 Model B Plus Rev 1.3";
  b.board_watts = 1.3;
  b.idle_watts = 0.6;
  b.core_watts = 0.65;
  b.chip_resistance = 4;
  b.chip_capacity = 1.2;
  b.board_resistance = 10;
  b.board_capacity = 20;
  b.full_clock = 1400;
  b.least_clock = 600;
  b.least_voltage = 0.86;
  b.soft_limit = 60;
  b.soft_clock = 1200;
  return b;
}

// Air flows faster past a warmer surface: resistance falls with the fourth root (natural convection, laminar).
double to_air(const BoardModel& model, double difference) {
  const double warmer = std::max(difference, 0.1);
  return difference / (model.board_resistance * std::pow(20 / warmer, 0.25));
}

}  // namespace

const BoardModel& pi4() {
  static const BoardModel model = make_pi4();
  return model;
}

const BoardModel& pi3_plus() {
  static const BoardModel model = make_pi3_plus();
  return model;
}

// Starts in the steady state of an idle board.
Board::Board(const BoardModel& model, double air)
    : model_(model), air_(air), chip_(air), board_(air), clock_(model.full_clock) {
  for (int second = 0; second < 3600; ++second) run(std::chrono::seconds(1), 0);
}

// Dynamic power is proportional to the clock and to the square of the voltage.
double Board::chip_watts(double busy) const {
  const double below = (model_.full_clock - clock_) / (model_.full_clock - model_.least_clock);
  const double voltage = 1 - below * (1 - model_.least_voltage);
  return model_.idle_watts + busy * model_.core_watts * speed() * voltage * voltage;
}

void Board::choose_clock() {
  if (chip_ >= model_.soft_limit) soft_ = true;
  if (chip_ < model_.soft_limit - model_.soft_back) soft_ = false;
  const double top = soft_ ? model_.soft_clock : model_.full_clock;
  const double part = std::clamp((chip_ - model_.throttle_from) / (model_.hard_limit - model_.throttle_from), 0.0, 1.0);
  clock_ = top - part * (top - model_.least_clock);
}

void Board::run(Duration time, double busy) {
  const double seconds = std::chrono::duration<double>(time).count();
  const double watts = chip_watts(std::min(busy, 4.0));
  const double inside = (chip_ - board_) / model_.chip_resistance;
  chip_ += (watts - inside) / model_.chip_capacity * seconds;
  board_ += (model_.board_watts + inside - to_air(model_, board_ - air_)) / model_.board_capacity * seconds;
  choose_clock();
}

}  // namespace edgefleet::simulation
