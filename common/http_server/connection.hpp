// One client: reads requests, passes them to handlers and writes their answers, one after the other. Runs on the
// server's thread and never blocks.
//
//   handshake -> head -> body -> handling -> replying -> head ...
//                                        \-> streaming -/   \-> lingering -> closed
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "common/http_server/core.hpp"
#include "common/http_server/exchange.hpp"
#include "common/http_server/link.hpp"
#include "common/http_server/parser.hpp"
#include "common/http_server/site.hpp"

namespace edgefleet::http_server {

class FileReader;
class BodyReader;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Core> core, std::shared_ptr<const Site> site, boost::asio::ip::tcp::socket socket,
             std::unique_ptr<Link> link, bool tls, std::string address, std::shared_ptr<PeerUse> use);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;
  ~Connection();

  void start();
  void tick(Time now);  // deadlines, and clients that closed while reading is paused
  void stop();          // at once if it waits for a request, otherwise after the answer
  void close();
  [[nodiscard]] const std::string& address() const { return peer_.address; }

  // ---- from the exchange, which may have ended by now
  void reply(Exchange& exchange, Reply reply, std::shared_ptr<ByteShare> share);
  void begin_stream(Exchange& exchange, const Reply& head);
  void send_piece(Exchange& exchange, std::string piece);
  void end_stream(Exchange& exchange);
  void cut_stream(Exchange& exchange);  // if it is one that has begun
  void cut(Exchange& exchange);

 private:
  enum class Phase { handshake, head, body, handling, replying, streaming, lingering, closed };

  // ---- reading
  [[nodiscard]] bool wants_input() const;
  void wait_readable();
  void wait_writable();
  void on_writable();
  void on_readable();
  bool read_once();  // true: there may be more
  void client_ended();
  void step_handshake();
  void advance();
  void take_head();
  bool take_body();
  void on_head();
  Request take_request();
  [[nodiscard]] std::optional<Problem> problem_of_head(const Request& request, const Router::Match& match) const;
  void accept_body(Request request);
  void body_over();
  [[nodiscard]] Duration lateness(Time now) const;
  [[nodiscard]] bool get_place(bool of_own_address) const;
  void leave_body_readers();
  void dispatch(Request request);

  // ---- writing
  void refuse(const Problem& problem);
  void answer(Reply reply, std::shared_ptr<ByteShare> share = nullptr);
  [[nodiscard]] std::string head_of(const Reply& reply, std::optional<std::uint64_t> length, bool chunked) const;
  void answer_file(const Reply& reply);
  void begin_file(const Reply& reply, std::shared_ptr<FileReader> file);
  void read_file();
  void put(std::string bytes, std::size_t of_piece = 0);
  void flush();
  void drained();
  void request_over();
  void linger();
  void end_writing();

  [[nodiscard]] bool is_present(const Exchange& exchange) const { return exchange_.get() == &exchange; }
  [[nodiscard]] bool peer_hung_up() const;
  [[nodiscard]] bool head_only() const { return context_.method == "HEAD"; }

  const std::shared_ptr<Core> core_;
  const std::shared_ptr<const Site> site_;
  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<Link> link_;
  Peer peer_;
  const std::shared_ptr<PeerUse> use_;
  Phase phase_;
  Time deadline_ = Time::max();

  std::string input_;  // read, not yet taken: pipelined requests wait here
  bool waits_to_read_ = false;
  bool more_to_read_ = false;  // the link may hold bytes that the socket does not report again
  bool ended_ = false;         // the client has closed its side

  // of the current request
  std::unique_ptr<Parser> parser_;
  ReplyContext context_;
  const Route* route_ = nullptr;
  Headers extra_;  // for the reply, from the gate
  Principal caller_;
  std::shared_ptr<Exchange> exchange_;
  std::shared_ptr<BodyReader> body_;
  bool keep_alive_ = false;
  bool chunked_ = false;
  std::shared_ptr<FileReader> file_;
  std::shared_ptr<ByteShare> file_share_;

  struct Piece {
    std::string bytes;
    std::size_t of_piece = 0;  // counts against Stream::most_behind
    std::shared_ptr<ByteShare> share;  // of a whole answer
  };
  std::deque<Piece> output_;
  std::size_t written_ = 0;  // of the first of them
  bool waits_to_write_ = false;
  bool end_after_output_ = false;
  bool ended_writing_ = false;
  std::size_t lingered_ = 0;  // bytes
};

}  // namespace edgefleet::http_server
