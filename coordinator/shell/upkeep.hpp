// What the loop does for the store between the drains: its clock, and ended tasks that are old enough. Little at a
// time, so that nobody waits for it, and nothing at all where nothing changes: SD cards wear. Only on the loop's
// thread.
#pragma once

#include "common/runtime/log.hpp"
#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

class Upkeep {
 public:
  Upkeep(Store& store, const Retention& retention, log::Complaints& complaints)
      : store_(store), retention_(retention), complaints_(complaints) {}

  // Reads where the store's clock stopped; from now on it runs with ours.
  Status start(Time now);
  // The store's clock (Writes::clock).
  [[nodiscard]] Duration store_clock(Time now) const { return clock_base_ + (now - clock_start_); }

  // `deadlines`: some task waits for a time, which must come nearer even if the coordinator is killed every hour.
  [[nodiscard]] Time next(bool deadlines) const;
  void run(bool deadlines);
  // A commit has written the clock with everything else; with `ended`, there are new tasks to purge some day.
  void committed(Time now, bool wrote, bool ended);
  void stop(Time now);

 private:
  void purge(Time now);

  Store& store_;
  Retention retention_;
  log::Complaints& complaints_;
  Duration clock_base_{0};  // at clock_start_
  Time clock_start_;
  Time clock_kept_;  // when the store last learned it
  Time purge_at_;
  std::size_t purge_step_ = 64;
};

}  // namespace edgefleet::coordinator
