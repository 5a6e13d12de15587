// A few threads for handlers and all else that may wait for a disk.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace edgefleet::http_server {

class Pool {
 public:
  explicit Pool(std::size_t threads);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  Pool(Pool&&) = delete;
  Pool& operator=(Pool&&) = delete;
  ~Pool();
  void stop();  // what has been given before runs to its end, what is given later does not run

  // Any thread; its exceptions are the end of `work` alone. False: the pool has stopped.
  bool run(std::function<void()> work);

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

// Runs on a pool what it is given, one after the other: the work of one request never runs twice at a time.
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
