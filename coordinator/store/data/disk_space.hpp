// Refuses new tasks and uploads before the disk is full, while there is still space for results and for removals.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "common/core/result.hpp"
#include "common/core/time.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

// Below `keep` it is low, until there is a quarter more than that: it does not change with every task.
class Watermark {
 public:
  explicit Watermark(std::uint64_t keep) : keep_(keep) {}
  bool low(std::uint64_t available) {
    low_ = available < (low_ ? keep_ + keep_ / 4 : keep_);
    return low_;
  }
  [[nodiscard]] bool low() const { return low_; }

 private:
  std::uint64_t keep_;
  bool low_ = false;
};

// Any thread. The file system is looked at on demand, at most every `interval`.
class DiskSpace {
 public:
  static constexpr Duration interval = std::chrono::milliseconds(200);
  static constexpr std::uint64_t usual = std::uint64_t{256} << 20U;  // bytes to keep

  struct Space {
    std::uint64_t available = 0;
    std::uint64_t capacity = 0;
  };
  using Measure = std::function<std::optional<Space>()>;  // no value: it cannot be measured, and nothing is refused
  static Measure of_directory(const std::string& directory);

  // `keep`: bytes, but not more than a tenth of the file system; 0: nothing is refused. `tell` gets a line when
  // something is refused from now on, and when it is accepted again.
  DiskSpace(std::uint64_t keep, Measure measure, Tell tell, std::function<Time()> clock = monotonic_now);

  // An error of kind `full`: what is asked for is refused now.
  Status for_upload();
  // `reusable`: the bytes that new tasks find inside the store; asked only if the disk alone is not enough.
  Status for_tasks(const std::function<std::uint64_t()>& reusable);
  // What is refused now; empty: nothing. It takes the store's part from the last for_tasks().
  std::string notice();

 private:
  enum class Refused { nothing, files, tasks_and_files };
  void look();
  void judge();
  [[nodiscard]] std::string why() const;

  const Measure measure_;
  const Tell tell_;
  const std::function<Time()> clock_;
  std::mutex mutex_;
  std::uint64_t keep_;
  std::optional<Time> looked_at_;
  std::optional<std::uint64_t> available_;
  std::uint64_t reusable_ = 0;
  Watermark uploads_{0};
  Watermark tasks_{0};  // of the disk and the store together
  Watermark log_{0};    // of the disk: the database's log cannot grow inside the database
  Refused refused_ = Refused::nothing;
  std::string notice_;
};

}  // namespace edgefleet::coordinator
