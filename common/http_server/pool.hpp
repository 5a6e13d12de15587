// A few threads for handlers and for other work that may wait for a disk.
#pragma once

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
  bool run(std::function<void()> work);

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

// Runs work on a pool, one piece after the other: no two pieces of work of one request run at the same time.
class Strand : public std::enable_shared_from_this<Strand> {
 public:
  explicit Strand(Pool& pool) : pool_(pool) {}
  void run(std::function<void()> work);  // any thread

 private:
  void turn();
  void next_turn();

  Pool& pool_;
  std::mutex mutex_;
  std::deque<std::function<void()>> waiting_;
  bool running_ = false;
};

}  // namespace edgefleet::http_server
