#include "coordinator/shell/upkeep.hpp"

#include <algorithm>

namespace edgefleet::coordinator {
namespace {

constexpr Duration clock_interval = std::chrono::seconds(60);
constexpr Duration purge_interval = std::chrono::seconds(60);
constexpr Duration purge_soon = std::chrono::seconds(1);        // after tasks have ended
constexpr Duration purge_short = std::chrono::milliseconds(8);  // below this, the next step is larger
constexpr Duration purge_long = std::chrono::milliseconds(25);  // above this, the next step is smaller
constexpr std::size_t purge_least = 16;
constexpr std::size_t purge_most = 512;
constexpr int purge_rest = 3;  // pause between steps, in multiples of a step's duration

}  // namespace

Status Upkeep::start(Time now) {
  const auto clock = store_.clock();
  if (!clock) return clock.error();
  clock_base_ = *clock;
  clock_start_ = clock_kept_ = purge_at_ = now;
  return success();
}

Time Upkeep::next(bool deadlines) const {
  return deadlines ? std::min(purge_at_, clock_kept_ + clock_interval) : purge_at_;
}

void Upkeep::run(bool deadlines) {
  const Time now = monotonic_now();
  if (deadlines && now >= clock_kept_ + clock_interval) {
    clock_kept_ = now;
    if (auto kept = store_.keep_time(store_clock(now)); !kept) complaints_.complain("store", kept.error().message);
  }
  if (now >= purge_at_) purge(now);
}

void Upkeep::committed(Time now, bool wrote, bool ended) {
  if (wrote) clock_kept_ = now;
  if (ended) purge_at_ = std::min(purge_at_, now + purge_soon);
}

void Upkeep::look_at_space() {
  if (space_ == nullptr) return;
  (void)space_->for_tasks([this] {
    const auto bytes = store_.reusable();
    return bytes ? *bytes : 0;
  });
}

void Upkeep::stop(Time now) { (void)store_.keep_time(store_clock(now)); }

std::size_t Upkeep::purge(Time began) {
  const auto purged = store_.purge(retention_, store_clock(began), purge_step_);
  const Time ended = monotonic_now();
  look_at_space();
  if (!purged) complaints_.complain("store", purged.error().message);
  if (!purged) purge_step_ = std::max<std::size_t>(1, purge_step_ / 2);  // a smaller step needs less of a full disk
  if (!purged || !purged->more) {
    purge_at_ = ended + purge_interval;
    return purged ? purged->tasks : 0;
  }
  if (ended - began > purge_long) purge_step_ = std::max(purge_least, purge_step_ / 2);
  if (ended - began < purge_short) purge_step_ = std::min(purge_most, purge_step_ * 2);
  purge_at_ = ended + purge_rest * (ended - began);
  return purged->tasks;
}

}  // namespace edgefleet::coordinator
