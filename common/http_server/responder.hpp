// How a handler answers: at once or later, from any thread, in one piece or as a stream.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/core/time.hpp"
#include "common/http_server/message.hpp"

namespace edgefleet::http_server {

class Exchange;

// An answer that grows. Any thread; pieces are sent in the order of the calls. If the last copy is destroyed without
// end(), the connection is cut, so that the client does not take a part for the whole.
class Stream {
 public:
  // A reader that stays further behind than this for Bounds::catch_up is disconnected. It may be further behind for
  // a moment: pieces that come at once cannot have been read yet.
  static constexpr std::size_t most_behind = 256 * 1024;
  static constexpr std::size_t most_burst = 16 * 1024 * 1024;  // or the largest piece, if that is more

  // False: the client has disconnected or was disconnected, and receives nothing more.
  [[nodiscard]] bool send(std::string piece) const;
  // Bytes that the client has not taken yet.
  [[nodiscard]] std::size_t unsent() const;
  void end() const;

 private:
  friend class Responder;
  struct Handle;
  explicit Stream(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<Handle> handle_;
};

// One request that waits for its answer; copies refer to the same request. Answered once: later answers are ignored. If
// the last copy is destroyed without an answer, the client receives 500.
class Responder {
 public:
  explicit Responder(std::shared_ptr<Exchange> exchange);

  void answer(Reply reply) const;
  [[nodiscard]] Stream stream(Reply head) const;  // status, content type and headers of `head`

  // The client has closed its side. Work for it may stop; an answer is still sent if it can be.
  [[nodiscard]] bool gone() const;
  // These callbacks run on the pool, and never two at a time for one request, the handler included.
  // Everything that `callback` owns stays alive until the request has been answered, or its stream has ended.
  void on_gone(std::function<void()> callback) const;
  void run(std::function<void()> work) const;
  // Runs on the threads for uploads: for work that waits for a disk. It may run beside the callbacks above.
  void run_upload(std::function<void()> work) const;
  // Runs later, unless the request has been answered by then. One at a time: a second call replaces the first.
  void after(Duration delay, std::function<void()> work) const;

 private:
  struct Handle;
  std::shared_ptr<Handle> handle_;
};

}  // namespace edgefleet::http_server
