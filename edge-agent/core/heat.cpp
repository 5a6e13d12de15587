#include "edge-agent/core/heat.hpp"

#include <algorithm>

namespace edgefleet::agent {

double Heat::trend_per_minute() const {
  if (readings_.size() < 2) return 0;
  const auto& [since, before] = readings_.front();
  const auto& [until, after] = readings_.back();
  const double minutes = std::chrono::duration<double, std::ratio<60>>(until - since).count();
  return minutes <= 0 ? 0 : (after - before) / minutes;
}

void Heat::read(std::optional<double> celsius, Time now) {
  celsius_ = celsius;
  if (!celsius) {
    readings_.clear();
    return;  // the policy stays: a sensor that vanishes does not cool anything
  }
  readings_.emplace_back(now, *celsius);
  while (readings_.front().first + remembered < now) readings_.pop_front();
  if (limits_.observe_only) return;

  const double minutes = std::chrono::duration<double, std::ratio<60>>(limits_.look_ahead).count();
  const double soon = *celsius + std::max(0.0, trend_per_minute()) * minutes;
  // Up by what is coming, down only by what is: so it does not flutter.
  if (soon >= limits_.pause) {
    policy_ = HeatPolicy::paused;
  } else if (soon >= limits_.reduce) {
    if (policy_ == HeatPolicy::normal || *celsius < limits_.reduce) policy_ = HeatPolicy::reduced;
  } else if (*celsius < limits_.normal) {
    policy_ = HeatPolicy::normal;
  } else if (policy_ == HeatPolicy::paused) {
    policy_ = HeatPolicy::reduced;
  }
}

}  // namespace edgefleet::agent
