#include "coordinator/store/data/disk_space.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/core/counts.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::uint64_t share_of_file_system = 10;
constexpr std::uint64_t share_for_log = 4;  // of what is kept free

}  // namespace

DiskSpace::Measure DiskSpace::of_directory(const std::string& directory) {
  return [directory]() -> std::optional<Space> {
    std::error_code failure;
    const auto space = std::filesystem::space(directory, failure);
    if (failure) return std::nullopt;
    return Space{space.available, space.capacity};
  };
}

DiskSpace::DiskSpace(std::uint64_t keep, Measure measure, Tell tell, std::function<Time()> clock)
    : measure_(std::move(measure)), tell_(std::move(tell)), clock_(std::move(clock)), keep_(keep) {
  if (const auto space = measure_()) keep_ = std::min(keep_, space->capacity / share_of_file_system);
  uploads_ = tasks_ = Watermark(keep_);
  log_ = Watermark(keep_ / share_for_log);
}

Status DiskSpace::for_upload() {
  const std::lock_guard lock(mutex_);
  look();
  judge();
  if (refused_ == Refused::nothing) return success();
  return Error{"no file is accepted at present: " + why(), ErrorKind::full};
}

Status DiskSpace::for_tasks(const std::function<std::uint64_t()>& reusable) {
  const std::lock_guard lock(mutex_);
  look();
  if (available_ && (*available_ < keep_ || tasks_.low())) reusable_ = reusable();
  judge();
  if (refused_ != Refused::tasks_and_files) return success();
  return Error{"no new task is accepted at present: " + why(), ErrorKind::full};
}

std::string DiskSpace::notice() {
  const std::lock_guard lock(mutex_);
  look();
  judge();
  return notice_;
}

void DiskSpace::look() {
  const Time now = clock_();
  if (looked_at_ && now < *looked_at_ + interval) return;
  looked_at_ = now;
  const auto space = measure_();
  available_ = space ? std::optional(space->available) : std::nullopt;
}

void DiskSpace::judge() {
  if (!available_) return;
  const bool files = uploads_.low(*available_);
  const bool together = tasks_.low(*available_ + reusable_);
  const bool tasks = log_.low(*available_) || together;
  const Refused now = tasks ? Refused::tasks_and_files : files ? Refused::files : Refused::nothing;
  notice_.clear();
  if (now == Refused::files) notice_ = "new files are refused: " + why();
  if (now == Refused::tasks_and_files) notice_ = "new tasks and files are refused: " + why();
  if (std::exchange(refused_, now) == now || !tell_) return;
  tell_(now == Refused::nothing ? "there is disk space again: new tasks and files are accepted" : notice_);
}

std::string DiskSpace::why() const {
  return "the disk is almost full: " + show_bytes(available_.value_or(0)) + " are available, and " + show_bytes(keep_) +
         " are kept free for results (--keep-free-mb); free some space, or keep fewer ended tasks (--keep-ended-mb)";
}

}  // namespace edgefleet::coordinator
