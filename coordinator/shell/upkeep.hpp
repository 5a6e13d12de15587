// Maintenance of the store between the drains: its clock, and the removal of old ended tasks. In small steps, so that
// requests do not wait, and without writes where nothing changes, because SD cards wear out. Only on the loop's thread.
#pragma once

#include "common/runtime/log.hpp"
#include "common/system/clock.hpp"
#include "coordinator/store/data/disk_space.hpp"
#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

class Upkeep {
 public:
  // `space`: looked at after each removal, so that a lack of space is also noticed without requests; may be null.
  Upkeep(Store& store, const Retention& retention, log::Complaints& complaints, DiskSpace* space = nullptr)
      : store_(store), retention_(retention), complaints_(complaints), space_(space) {}

  // Reads the store's clock; from now on it advances with the monotonic clock.
  Status start(Time now);
  // The store's clock (Writes::clock).
  [[nodiscard]] Duration store_clock(Time now) const { return clock_base_ + (now - clock_start_); }

  // `deadlines`: a task waits for a point in time, which must be reached even if the coordinator is killed every hour.
  [[nodiscard]] Time next(bool deadlines) const;
  void run(bool deadlines);
  // A commit has also written the clock; with `ended`, there are new tasks to purge later.
  void committed(Time now, bool wrote, bool ended);
  void stop(Time now);
  // The disk is full: removes old tasks now. True: some have been removed.
  bool make_room() { return purge(monotonic_now()) > 0; }

 private:
  std::size_t purge(Time now);
  void look_at_space();

  Store& store_;
  Retention retention_;
  log::Complaints& complaints_;
  DiskSpace* space_;
  Duration clock_base_{0};  // at clock_start_
  Time clock_start_;
  Time clock_kept_;  // when it was last written to the store
  Time purge_at_;
  std::size_t purge_step_ = 64;
};

}  // namespace edgefleet::coordinator
