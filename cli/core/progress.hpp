// The progress of a batch.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "common/core/time.hpp"

namespace edgefleet::cli {

struct BatchCounts {
  std::uint64_t total = 0;
  std::uint64_t running = 0;  // assigned to an agent, or being stopped
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t expired = 0;
  std::uint64_t purged = 0;  // ended so long ago that the coordinator no longer keeps the outcome

  [[nodiscard]] std::uint64_t done() const { return succeeded + failed + cancelled + expired + purged; }
  [[nodiscard]] bool ended() const { return done() >= total; }
  BatchCounts& operator+=(const BatchCounts& other);
  friend bool operator==(const BatchCounts&, const BatchCounts&) = default;
};

// Ends per second over the last ten seconds.
class RateMeter {
 public:
  void add(Time now, std::uint64_t done);
  [[nodiscard]] std::optional<double> per_second() const;

 private:
  std::deque<std::pair<Time, std::uint64_t>> samples_;
};

// "420 of 1,000 done, 12 running, 3 failed, 80/s, 7 s left"
std::string progress_line(const BatchCounts& counts, std::optional<double> rate);

// "[=====>      ]  42 %  420 of 1,000, 12 running, ..." in at most `width` columns.
std::string progress_bar(const BatchCounts& counts, std::optional<double> rate, int width);

// "[=====>      ]  42 %"
std::string bar(double share, std::size_t width);

// "1,000 tasks: 990 succeeded, 10 failed, in 12 s (83/s)"
std::string batch_summary(const BatchCounts& counts, Duration took);

}  // namespace edgefleet::cli
