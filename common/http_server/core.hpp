// The state that the parts of a server share. Only the server's thread uses it, except where "any thread" is noted.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/core/time.hpp"
#include "common/http_server/bounds.hpp"
#include "common/http_server/pool.hpp"

namespace edgefleet::http_server {

class Connection;

struct Core {
  explicit Core(const Bounds& b) : bounds(b), pool(b.pool_threads) {}

  const Bounds bounds;
  boost::asio::io_context io{1};
  // Runs `work` on the server's thread, unless the server has ended. Any thread.
  void post(std::function<void()> work) {
    const std::lock_guard lock(ending);
    if (!ended) boost::asio::post(io, std::move(work));
  }
  std::mutex ending;
  bool ended = false;  // guarded by `ending`: a later entry could own this object, and would never be freed
  Pool pool;                                  // any thread
  std::atomic<bool> stopping{false};          // any thread
  std::atomic<std::size_t> body_bytes{0};     // any thread: of all bodies in memory
  std::set<Connection*> body_readers;         // connections that are reading one
  std::set<std::shared_ptr<Connection>> connections;
  std::unordered_map<std::string, std::size_t> peers;  // connections of each address
  std::string date;                                    // for the header Date
  std::uint64_t next_id = 0;                           // of requests
  std::vector<char> scratch = std::vector<char>(64 * 1024);  // the bytes of the last read
};

// Counts against Bounds::all_bodies. Any thread.
class BodyShare {
 public:
  explicit BodyShare(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;
  BodyShare(BodyShare&&) = delete;
  BodyShare& operator=(BodyShare&&) = delete;
  ~BodyShare() { core_->body_bytes -= own_; }
  [[nodiscard]] bool grow(std::size_t bytes) {
    own_ += bytes;
    return (core_->body_bytes += bytes) <= core_->bounds.all_bodies;
  }

 private:
  std::shared_ptr<Core> core_;
  std::size_t own_ = 0;
};

}  // namespace edgefleet::http_server
