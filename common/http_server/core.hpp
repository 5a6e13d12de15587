// The state that the parts of a server share. Only the server's thread uses it, except where "any thread" is noted.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <limits>
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

// Bytes in memory against a bound. Any thread.
class Meter {
 public:
  explicit Meter(std::size_t most) : most_(most) {}
  // The bytes that were held before.
  std::size_t add(std::size_t bytes) { return held_.fetch_add(bytes); }
  void remove(std::size_t bytes) { held_ -= bytes; }
  [[nodiscard]] std::size_t most() const { return most_; }

 private:
  const std::size_t most_;
  std::atomic<std::size_t> held_{0};
};

// What the clients of one address use.
struct PeerUse {
  explicit PeerUse(const Bounds& bounds, bool limited)
      : most_connections(limited ? bounds.connections_a_peer : unlimited),
        most_body_readers(limited ? bounds.body_readers_a_peer : unlimited),
        bodies(limited ? bounds.bodies_a_peer : unlimited),
        replies(limited ? bounds.replies_a_peer : unlimited) {}

  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
  const std::size_t most_connections;
  const std::size_t most_body_readers;
  std::size_t connections = 0;
  std::size_t body_readers = 0;
  Meter bodies;   // any thread
  Meter replies;  // any thread
};

struct Core {
  explicit Core(const Bounds& b) : bounds(b), pool(b.pool_threads), bodies(b.all_bodies), replies(b.all_replies) {}

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
  Meter bodies;                               // any thread: all bodies in memory
  Meter replies;                              // any thread: all answers in memory
  std::set<Connection*> body_readers;         // connections that are reading one
  std::set<std::shared_ptr<Connection>> connections;
  std::unordered_map<std::string, std::shared_ptr<PeerUse>> peers;  // by address
  std::string date;                                    // for the header Date
  std::uint64_t next_id = 0;                           // of requests
  std::vector<char> scratch = std::vector<char>(64 * 1024);  // the bytes of the last read
};

// The bytes of one body, or of one answer, within the bound of all and the bound of its peer. Any thread.
class ByteShare {
 public:
  ByteShare(std::shared_ptr<Meter> all, std::shared_ptr<Meter> of_peer)
      : all_(std::move(all)), of_peer_(std::move(of_peer)) {}
  ByteShare(const ByteShare&) = delete;
  ByteShare& operator=(const ByteShare&) = delete;
  ByteShare(ByteShare&&) = delete;
  ByteShare& operator=(ByteShare&&) = delete;
  ~ByteShare() { shrink(own_); }

  // False: a bound is exceeded. The bytes count all the same.
  [[nodiscard]] bool grow(std::size_t bytes) { return add(bytes, 0); }
  // A share that has a meter for itself exceeds no bound.
  [[nodiscard]] bool grow_or_alone(std::size_t bytes) { return add(bytes, own_ + 1); }
  void shrink(std::size_t bytes) {
    own_ -= bytes;
    all_->remove(bytes);
    of_peer_->remove(bytes);
  }

 private:
  bool add(std::size_t bytes, std::size_t free_below) {
    own_ += bytes;
    const auto fits = [&](Meter& meter) {
      const std::size_t before = meter.add(bytes);
      return before < free_below || before + bytes <= meter.most();
    };
    const bool fits_all = fits(*all_);
    return fits(*of_peer_) && fits_all;
  }

  const std::shared_ptr<Meter> all_;
  const std::shared_ptr<Meter> of_peer_;
  std::atomic<std::size_t> own_{0};
};

inline std::shared_ptr<ByteShare> share_of_bodies(const std::shared_ptr<Core>& core,
                                                  const std::shared_ptr<PeerUse>& peer) {
  return std::make_shared<ByteShare>(std::shared_ptr<Meter>(core, &core->bodies),
                                     std::shared_ptr<Meter>(peer, &peer->bodies));
}
inline std::shared_ptr<ByteShare> share_of_replies(const std::shared_ptr<Core>& core,
                                                   const std::shared_ptr<PeerUse>& peer) {
  return std::make_shared<ByteShare>(std::shared_ptr<Meter>(core, &core->replies),
                                     std::shared_ptr<Meter>(peer, &peer->replies));
}

}  // namespace edgefleet::http_server
