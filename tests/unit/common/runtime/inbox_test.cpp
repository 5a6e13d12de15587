#include "common/runtime/inbox.hpp"

#include <thread>

#include "common/system/clock.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace std::chrono_literals;

TEST_CASE("a full inbox refuses offered values and accepts values that must not be refused") {
  Inbox<int> inbox(2);
  CHECK(inbox.offer(1));
  CHECK(inbox.offer(2));
  CHECK_FALSE(inbox.offer(3));
  inbox.insist(4);
  CHECK(inbox.size() == 3);
  CHECK(inbox.drain(monotonic_now()) == std::vector<int>{1, 2, 4});
  CHECK(inbox.offer(5));
}

TEST_CASE("a drain of an empty inbox ends at its time") {
  Inbox<int> inbox(1);
  const Time until = monotonic_now() + 5ms;
  CHECK(inbox.drain(until).empty());
  CHECK(monotonic_now() >= until);
}

TEST_CASE("a drain without a time waits for a value of another thread") {
  Inbox<int> inbox(1);
  const std::jthread other([&] { inbox.insist(7); });
  CHECK(inbox.drain(std::nullopt) == std::vector<int>{7});
}

TEST_CASE("no value of many threads is lost or duplicated, and each thread's order is kept") {
  constexpr int threads = 4;
  constexpr int each = 5'000;
  Inbox<std::pair<int, int>> inbox(static_cast<std::size_t>(threads) * each);
  std::vector<std::jthread> writers;
  for (int t = 0; t < threads; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) inbox.insist({t, i});
    });
  }
  std::vector<int> next(threads, 0);
  bool in_order = true;
  for (int left = threads * each; left > 0;) {
    for (const auto& [thread, number] : inbox.drain(std::nullopt)) {
      in_order = in_order && next[static_cast<std::size_t>(thread)]++ == number;
      --left;
    }
  }
  CHECK(in_order);
  CHECK(inbox.size() == 0);
}
