#include "edge-agent/core/heat.hpp"

#include <algorithm>

namespace edgefleet::agent {
namespace {

constexpr double half = 0.5;
constexpr double quarter = 0.25;
constexpr double soft_limit_lower = 10;
constexpr double frozen_when_too_hot = 0.8;  // at the pause limit and above: a fifth of the speed
constexpr double frozen_when_hot = 0.5;      // below it, while cooling down

double minutes(Duration length) { return std::chrono::duration<double, std::ratio<60>>(length).count(); }

}  // namespace

HeatLimits limits_for_board(std::string_view model) {
  HeatLimits limits;
  const bool soft_limit = model.find("Raspberry Pi 3 Model B Plus") != std::string_view::npos ||
                          model.find("Raspberry Pi 3 Model A Plus") != std::string_view::npos;
  if (!soft_limit) return limits;
  limits.reduce -= soft_limit_lower;
  limits.pause -= soft_limit_lower;
  limits.normal -= soft_limit_lower;
  return limits;
}

double Heat::trend_per_minute() const {
  if (readings_.size() < 2) return 0;
  const auto& [since, before] = readings_.front();
  const auto& [until, after] = readings_.back();
  return until <= since ? 0 : (after - before) / minutes(until - since);
}

double Heat::soon() const {
  return *celsius_ + std::clamp(trend_per_minute() * minutes(limits_.look_ahead), 0.0, limits_.most_ahead);
}

double Heat::frozen_share() const {
  if (policy_ != HeatPolicy::paused) return 0;
  return celsius_ && *celsius_ < limits_.pause ? frozen_when_hot : frozen_when_too_hot;
}

void Heat::use(const HeatLimits& limits, Time now) {
  limits_ = limits;
  if (limits_.observe_only) go_to(HeatPolicy::normal, 1, now);
}

void Heat::read(std::optional<double> celsius, Time now, bool expected) {
  celsius_ = celsius;
  if (!celsius) return without_sensor(now, expected);
  blind_since_.reset();
  readings_.emplace_back(now, *celsius);
  while (readings_.front().first + remembered < now) readings_.pop_front();
  if (limits_.observe_only) return;

  decide(now);
}

void Heat::go_to(HeatPolicy policy, double share, Time now) {
  policy_ = policy;
  share_ = share;
  changed_at_ = now;
}

// Rises with the predicted temperature, falls only with the measured one: this avoids oscillation.
void Heat::decide(Time now) {
  if (soon() >= limits_.pause) return go_to(HeatPolicy::paused, half, now);
  if (*celsius_ < limits_.normal - limits_.cool && soon() < limits_.reduce) return go_to(HeatPolicy::normal, 1, now);
  switch (policy_) {
    case HeatPolicy::normal:
      if (soon() >= limits_.reduce) go_to(HeatPolicy::reduced, half, now);
      return;
    case HeatPolicy::reduced:
      return decide_reduced(now);
    case HeatPolicy::paused:
      if (soon() < limits_.reduce) go_to(HeatPolicy::reduced, half, now);
      return;
  }
}

void Heat::decide_reduced(Time now) {
  const bool settled = now - changed_at_ >= limits_.settle;
  if (soon() >= limits_.reduce) {
    if (share_ > half) return go_to(HeatPolicy::reduced, half, now);
    if (settled) go_to(HeatPolicy::reduced, quarter, now);
  } else if (settled && *celsius_ < limits_.normal) {
    const double more = share_ + quarter;
    go_to(more < 1 ? HeatPolicy::reduced : HeatPolicy::normal, more, now);
  }
}

// A sensor that fails does not cool the board: the last decision holds for a while. After that the agent works with
// half the slots, because overheating with all slots would not be detected; it does not stay paused, because cooling
// would not be detected either.
void Heat::without_sensor(Time now, bool expected) {
  readings_.clear();
  if (limits_.observe_only || (!expected && policy_ == HeatPolicy::normal)) return;
  if (!blind_since_) blind_since_ = now;
  if (now >= *blind_since_ + limits_.hold) go_to(HeatPolicy::reduced, half, now);
}

}  // namespace edgefleet::agent
