// Passes the body of one request to its handler: whole, within its bound, or piece by piece. The inflated size counts,
// not the size on the wire.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/http_server/body_buffer.hpp"
#include "common/http_server/core.hpp"
#include "common/http_server/exchange.hpp"
#include "common/http_server/inflate.hpp"
#include "common/http_server/route.hpp"

namespace edgefleet::http_server {

class BodyReader : public std::enable_shared_from_this<BodyReader> {
 public:
  static constexpr std::size_t most_ahead = 256 * 1024;  // bytes of pieces that the handler has not taken yet

  // `head` has no body yet, and the share that its body counts against; `refuse` shapes the answer to errors in the
  // body after the head was accepted.
  BodyReader(std::shared_ptr<Core> core, std::shared_ptr<Exchange> exchange, const Route& route, Request head,
             std::function<Reply(const Problem&)> refuse);
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;
  BodyReader(BodyReader&&) = delete;
  BodyReader& operator=(BodyReader&&) = delete;
  ~BodyReader();

  // ---- the server's thread
  void begin();
  // No value: continue. Otherwise the body is refused, and nothing more is taken.
  [[nodiscard]] std::optional<Problem> put(std::string_view piece);
  void pass_on();  // what put() has gathered, to the handler
  [[nodiscard]] bool behind() const { return unwritten_ > most_ahead; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  void end();  // the body is complete: runs the handler

  Time began;
  std::function<void()> caught_up;  // behind() is false again; on the server's thread

 private:
  void write(const std::string& piece);
  void take(std::string_view piece);
  void finish_upload();
  void handle_whole();
  [[nodiscard]] std::optional<Problem> inflate_whole();
  void answer(const Problem& problem);

  const std::shared_ptr<Core> core_;
  const std::shared_ptr<Exchange> exchange_;
  const Route& route_;
  std::function<Reply(const Problem&)> refuse_;
  Request request_;
  std::uint64_t received_ = 0;
  BodyBuffer body_;
  std::string gathered_;
  std::atomic<std::size_t> unwritten_{0};

  // ---- the pool
  bool gzip_ = false;
  std::optional<Inflater> inflater_;
  std::optional<Upload> upload_;
  bool answered_ = false;  // before the end of the body: it was refused
};

}  // namespace edgefleet::http_server
