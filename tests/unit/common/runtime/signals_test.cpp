#include "common/runtime/signals.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace std::chrono_literals;

TEST_CASE("a signal to stop is delivered to one thread and does not interrupt others") {
  block_signals();
  std::mutex mutex;
  std::condition_variable changed;
  int stops = 0;
  {
    const Signals signals([&] {
      const std::lock_guard lock(mutex);
      ++stops;
      changed.notify_all();
    });
    for (const int signal : {SIGTERM, SIGINT}) {
      std::unique_lock lock(mutex);
      const int before = stops;
      REQUIRE(::kill(::getpid(), signal) == 0);
      REQUIRE(changed.wait_for(lock, 10s, [&] { return stops > before; }));
    }
  }
  CHECK(stops == 2);
  unblock_signals();
}

TEST_CASE("a child unblocks its parent's blocked signals before its exec") {
  block_signals();
  sigset_t blocked;
  REQUIRE(pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0);
  CHECK(sigismember(&blocked, SIGTERM) == 1);
  unblock_signals();
  REQUIRE(pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0);
  CHECK(sigismember(&blocked, SIGTERM) == 0);
  CHECK(sigismember(&blocked, SIGINT) == 0);
}
