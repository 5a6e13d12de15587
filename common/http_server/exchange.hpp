// One request until its answer: passes calls between the threads of handlers and the server's thread.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/http_server/core.hpp"
#include "common/http_server/responder.hpp"

namespace edgefleet::http_server {

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  // Runs everything in this lane of the pool.
  Exchange(std::shared_ptr<Core> core, std::weak_ptr<Connection> connection, std::shared_ptr<PeerUse> peer, Lane lane);

  // ---- any thread
  bool answer(Reply reply);        // false: it has already been answered
  bool begin_stream(Reply head);
  bool send(std::string piece);
  [[nodiscard]] std::size_t unsent() const { return pending_; }
  void end_stream(bool whole);
  [[nodiscard]] bool gone() const { return gone_; }
  void on_gone(std::function<void()> callback);
  // On the pool. If it throws, the request is answered with 500, or its stream is cut.
  void run(std::function<void()> work);
  void run_upload(std::function<void()> work);
  void after(Duration delay, std::function<void()> work);

  // ---- the server's thread
  void client_gone();
  void over();                                                // nothing more is sent
  void sent(std::size_t bytes);                               // of pieces

 private:
  void post(std::function<void(Connection&)> work);
  void forget_callbacks();
  void stop_timer();
  void run_contained(const std::function<void()>& work);
  void note_piece(std::size_t bytes);
  [[nodiscard]] bool too_far_behind(std::size_t bytes) const;
  void failed();

  const std::shared_ptr<Core> core_;
  const std::weak_ptr<Connection> connection_;
  const std::shared_ptr<PeerUse> peer_;
  const std::shared_ptr<Strand> strand_;
  std::atomic<bool> answered_{false};
  std::atomic<bool> gone_{false};
  std::atomic<std::size_t> pending_{0};  // bytes of pieces that the socket has not accepted
  std::atomic<std::size_t> largest_{0};  // of these pieces
  std::atomic<Time::rep> behind_since_{0};  // more than Stream::most_behind are pending; 0: less
  const std::shared_ptr<ByteShare> pending_share_;
  std::atomic<std::uint64_t> timers_{0};  // number of the latest
  std::mutex mutex_;
  std::vector<std::function<void()>> gone_callbacks_;
  // ---- the server's thread
  std::optional<boost::asio::steady_timer> timer_;
  bool over_ = false;  // no timer is started after this
};

}  // namespace edgefleet::http_server
