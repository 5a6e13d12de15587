#include "cli/core/progress.hpp"

#include "cli/core/text.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::cli;
using namespace std::chrono_literals;

TEST_CASE("a progress line names only the counts that are not zero") {
  BatchCounts counts{.total = 1000, .running = 12, .succeeded = 417, .failed = 3};
  CHECK(progress_line(counts, 80.0) == "420 of 1,000 done, 12 running, 3 failed, 80/s, 8.0 s left");
  CHECK(progress_line(counts, std::nullopt) == "420 of 1,000 done, 12 running, 3 failed");
  CHECK(progress_line(counts, 0.0) == "420 of 1,000 done, 12 running, 3 failed, 0.0/s");
  counts = {.total = 10, .succeeded = 10};
  CHECK(progress_line(counts, 5.0) == "10 of 10 done");
}

TEST_CASE("the bar fits its width and is full only at the end") {
  CHECK(bar(0, 10) == "[>         ]   0 %");
  CHECK(bar(0.5, 10) == "[=====>    ]  50 %");
  CHECK(bar(0.999, 10) == "[=========>]  99 %");
  CHECK(bar(1, 10) == "[==========] 100 %");
  CHECK(bar(7, 4) == "[====] 100 %");
  const BatchCounts counts{
      .total = 1'000'000, .running = 5000, .succeeded = 420'000, .failed = 3, .cancelled = 4, .expired = 5};
  for (const int width : {20, 40, 79, 200}) {
    CHECK(width_of(progress_bar(counts, 812.0, width)) <= static_cast<std::size_t>(width));
  }
  CHECK(progress_bar({}, std::nullopt, 79).find("100 %") != std::string::npos);
}

TEST_CASE("the rate is over the last ten seconds") {
  RateMeter meter;
  CHECK_FALSE(meter.per_second());
  Time now{100s};
  meter.add(now, 0);
  CHECK_FALSE(meter.per_second());
  for (std::uint64_t i = 1; i <= 20; ++i) meter.add(now += 1s, i * 100);
  CHECK(*meter.per_second() == Approx(100));
  for (int i = 0; i < 11; ++i) meter.add(now += 1s, 2000);
  CHECK(*meter.per_second() == Approx(0));
}

TEST_CASE("the counts of several batches add up") {
  BatchCounts sum{.total = 2, .succeeded = 1};
  sum += {.total = 3, .running = 1, .failed = 1, .cancelled = 1};
  CHECK(sum == BatchCounts{.total = 5, .running = 1, .succeeded = 1, .failed = 1, .cancelled = 1});
  CHECK(sum.done() == 3);
  CHECK_FALSE(sum.ended());
}

TEST_CASE("the summary counts the outcomes and the unfinished tasks") {
  CHECK(batch_summary({.total = 1000, .succeeded = 990, .failed = 10}, 12s) ==
        "1,000 tasks: 990 succeeded, 10 failed, in 12 s (83/s)");
  CHECK(batch_summary({.total = 3, .succeeded = 1}, 2s) == "3 tasks: 1 succeeded, 2 unfinished, in 2.0 s (0.5/s)");
}
