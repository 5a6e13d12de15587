// A few threads for handlers and for other work that may wait for a disk.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace edgefleet::http_server {

// Runs and destroys `work`. An exception ends only this work: a request that is dropped without an answer answers 500.
void run_contained(std::function<void()> work);

// What the work waits for at most. Files and uploads have a part of the threads each, so that a disk that does not
// answer leaves threads for the rest.
enum class Lane { handlers, uploads, files };
inline constexpr std::size_t lanes = 3;

class Pool {
 public:
  explicit Pool(std::size_t threads);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  Pool(Pool&&) = delete;
  Pool& operator=(Pool&&) = delete;
  ~Pool();
  void stop();  // work that was added before runs to its end; work that is added later does not run

  // Any thread; an exception ends only `work`. False: the pool has stopped.
  bool run(std::function<void()> work, Lane lane = Lane::handlers);
  // The number of threads that a lane of files or uploads may hold at the same time.
  static constexpr std::size_t part_of(std::size_t threads) { return threads < 3 ? 1 : threads * 3 / 8; }

 private:
  struct Queue {
    std::deque<std::function<void()>> waiting;
    std::size_t running = 0;
    std::size_t most = 0;
    [[nodiscard]] bool ready() const { return !waiting.empty() && running < most; }
  };
  Queue* next();  // in turns; nullptr: no lane has work that may begin
  void serve();

  std::mutex mutex_;
  std::condition_variable filled_;
  std::array<Queue, lanes> queues_;
  std::size_t turn_ = 0;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

// Runs work on a pool, one piece after the other: no two pieces of work of one request run at the same time.
class Strand : public std::enable_shared_from_this<Strand> {
 public:
  explicit Strand(Pool& pool, Lane lane = Lane::handlers) : pool_(pool), lane_(lane) {}
  void run(std::function<void()> work);  // any thread

 private:
  void turn();
  void next_turn();

  Pool& pool_;
  const Lane lane_;
  std::mutex mutex_;
  std::deque<std::function<void()>> waiting_;
  bool running_ = false;
};

}  // namespace edgefleet::http_server
