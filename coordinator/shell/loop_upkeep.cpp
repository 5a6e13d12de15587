// What the loop does for the store between the drains: its clock, and ended tasks that are old enough. Little at a
// time, so that nobody waits for it, and nothing at all where nothing changes: SD cards wear.
#include <algorithm>

#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration clock_interval = std::chrono::seconds(60);
constexpr Duration purge_interval = std::chrono::seconds(60);
constexpr Duration purge_short = std::chrono::milliseconds(8);  // a step that took less may grow
constexpr Duration purge_long = std::chrono::milliseconds(25);  // one that took more shrinks
constexpr std::size_t purge_least = 16;
constexpr std::size_t purge_most = 512;
constexpr int purge_rest = 3;  // times as long as a step took

}  // namespace

std::optional<Time> Loop::upkeep_at() const {
  if (!state_.task_deadlines.next()) return purge_at_;
  return std::min(purge_at_, clock_kept_ + clock_interval);
}

void Loop::upkeep() {
  keep_time();
  if (monotonic_now() >= purge_at_) purge();
}

// So that a deadline of days comes nearer even if the coordinator is killed every hour and nothing else happens.
void Loop::keep_time() {
  const Time mono = monotonic_now();
  if (!state_.task_deadlines.next() || mono < clock_kept_ + clock_interval) return;
  clock_kept_ = mono;
  if (auto kept = store_.keep_time(running_time(mono)); !kept) complaints_.complain("store", kept.error().message);
}

void Loop::purge() {
  const Time began = monotonic_now();
  const auto purged = store_.purge(options_.retention, running_time(began), purge_step_);
  const Time ended = monotonic_now();
  if (!purged) complaints_.complain("store", purged.error().message);
  if (!purged || !purged->more) {
    purge_at_ = ended + purge_interval;
    return;
  }
  if (ended - began > purge_long) purge_step_ = std::max(purge_least, purge_step_ / 2);
  if (ended - began < purge_short) purge_step_ = std::min(purge_most, purge_step_ * 2);
  purge_at_ = ended + purge_rest * (ended - began);
}

}  // namespace edgefleet::coordinator
