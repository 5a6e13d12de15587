#include "common/http_server/connection.hpp"

#include <poll.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "common/http_server/body_reader.hpp"
#include "common/http_server/response.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::http_server {
namespace {

constexpr std::size_t most_input = 64 * 1024;  // read ahead of the request being handled
constexpr int reads_at_once = 16;              // before other connections get their turn
constexpr std::uint64_t most_upload = std::uint64_t{1} << 40U;  // the body handler has a bound of its own
constexpr std::string_view continue_response = "HTTP/1.1 100 Continue\r\n\r\n";

bool well_formed_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 &&
         id.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string_view::npos;
}

}  // namespace

Connection::Connection(std::shared_ptr<Core> core, std::shared_ptr<const Site> site,
                       boost::asio::ip::tcp::socket socket, std::unique_ptr<Link> link, bool tls, std::string address,
                       std::shared_ptr<PeerUse> use)
    : core_(std::move(core)),
      site_(std::move(site)),
      socket_(std::move(socket)),
      link_(std::move(link)),
      peer_{std::move(address), {}},
      use_(std::move(use)),
      phase_(tls ? Phase::handshake : Phase::head) {}

Connection::~Connection() = default;

void Connection::start() {
  deadline_ = monotonic_now() + (phase_ == Phase::handshake ? core_->bounds.handshake : core_->bounds.idle);
  wait_readable();
}

void Connection::close() {
  if (phase_ == Phase::closed) return;
  leave_body_readers();
  phase_ = Phase::closed;
  for (const Piece& piece : output_) {
    if (exchange_) exchange_->sent(piece.of_piece);
  }
  output_.clear();
  if (exchange_) exchange_->over();
  exchange_.reset();
  body_.reset();
  file_.reset();
  file_share_.reset();
  boost::system::error_code ignored;
  socket_.close(ignored);
  core_->connections.erase(shared_from_this());
  if (--use_->connections == 0) core_->peers.erase(peer_.address);
}

void Connection::stop() {
  keep_alive_ = false;
  if (phase_ == Phase::handshake || phase_ == Phase::head || phase_ == Phase::lingering) close();
}

void Connection::tick(Time now) {
  const Time deadline = phase_ == Phase::body ? now + core_->bounds.body - lateness(now) : deadline_;
  if (now >= deadline) {
    const bool begun = phase_ == Phase::body || (phase_ == Phase::head && !input_.empty());
    return begun ? refuse({408, "the request came too slowly", {}}) : close();
  }
  if (exchange_ && !caller_.name.empty() && site_->still_allowed && !site_->still_allowed(caller_)) return close();
  // Enough was read ahead: reading has paused, so it does not detect the end of the connection.
  const bool works = phase_ == Phase::handling || phase_ == Phase::streaming;
  if (works && !ended_ && !waits_to_read_ && peer_hung_up()) client_ended();
}

bool Connection::peer_hung_up() const {
  pollfd connection{const_cast<boost::asio::ip::tcp::socket&>(socket_).native_handle(), POLLRDHUP, 0};  // NOLINT
  return poll(&connection, 1, 0) > 0 && connection.revents != 0;
}

// ---- reading

bool Connection::wants_input() const {
  switch (phase_) {
    case Phase::closed:
      return false;
    case Phase::handshake:
      return true;
    case Phase::lingering:
      return !ended_;
    case Phase::head:
      return !ended_ && input_.size() < 2 * most_input;  // more than a head
    case Phase::body:
      return !ended_ && !body_->behind();
    case Phase::handling:
    case Phase::replying:
    case Phase::streaming:
      return !ended_ && input_.size() < most_input;
  }
  return false;
}

void Connection::wait_readable() {
  if (waits_to_read_ || !wants_input()) return;
  waits_to_read_ = true;
  const auto ready = [self = shared_from_this()](const boost::system::error_code& error) {
    self->waits_to_read_ = false;
    if (self->phase_ == Phase::closed) return;
    error ? self->close() : self->on_readable();
  };
  if (std::exchange(more_to_read_, false)) {
    boost::asio::post(core_->io, [ready] { ready({}); });
  } else {
    socket_.async_wait(boost::asio::ip::tcp::socket::wait_read, ready);
  }
}

void Connection::wait_writable() {
  if (std::exchange(waits_to_write_, true)) return;
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_write,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       self->waits_to_write_ = false;
                       if (self->phase_ == Phase::closed) return;
                       error ? self->close() : self->on_writable();
                     });
}

void Connection::on_writable() {
  if (phase_ == Phase::handshake) return step_handshake();
  if (phase_ == Phase::lingering && !ended_writing_) end_writing();
  if (!output_.empty()) flush();
}

void Connection::on_readable() {
  if (phase_ == Phase::handshake) return step_handshake();
  if (!output_.empty()) flush();  // TLS may need to read before it can write
  more_to_read_ = true;
  for (int i = 0; more_to_read_ && i < reads_at_once && wants_input(); ++i) more_to_read_ = read_once();
  if (phase_ == Phase::closed) return;
  advance();
  wait_readable();
}

bool Connection::read_once() {
  const Io io = link_->read(core_->scratch.data(), core_->scratch.size());
  if (io.state == IoState::want_read || io.state == IoState::want_write) return false;
  if (io.state == IoState::failed) {
    close();
    return false;
  }
  if (io.state == IoState::closed) {
    client_ended();
    return false;
  }
  if (phase_ == Phase::lingering) {
    lingered_ += io.bytes;
    if (lingered_ > core_->bounds.lingering_bytes) close();
    return phase_ != Phase::closed;
  }
  if (phase_ == Phase::head && input_.empty()) deadline_ = monotonic_now() + core_->bounds.head;
  input_.append(core_->scratch.data(), io.bytes);
  if (phase_ == Phase::body) advance();  // a large body is not buffered twice
  return phase_ != Phase::closed;
}

// A half-closed connection counts as closed: a client that still expects a long answer does not half-close. A short
// answer is sent all the same.
void Connection::client_ended() {
  ended_ = true;
  if (phase_ == Phase::head || phase_ == Phase::body) advance();  // the bytes before the end may be a whole request
  switch (phase_) {
    case Phase::handshake:
    case Phase::head:
    case Phase::streaming:
    case Phase::lingering:
    case Phase::closed:
      return close();
    case Phase::body:
      return refuse({400, "the body ended early", {}});
    case Phase::handling:
      return exchange_->client_gone();
    case Phase::replying:
      return;
  }
}

void Connection::step_handshake() {
  const Io io = link_->handshake();
  if (io.state == IoState::want_read) return wait_readable();
  if (io.state == IoState::want_write) return wait_writable();
  if (io.state != IoState::done) return close();
  peer_.certificate = link_->certificate();
  phase_ = Phase::head;
  deadline_ = monotonic_now() + core_->bounds.idle;
  more_to_read_ = true;  // the first request may have come with the end of the handshake
  wait_readable();
}

// At most one request: if more have arrived, other connections come first (request_over()).
void Connection::advance() {
  if (phase_ == Phase::head && !input_.empty()) take_head();
  while (phase_ == Phase::body && take_body()) {
  }
  if (phase_ == Phase::body) body_->pass_on();
}

void Connection::take_head() {
  if (!parser_) {
    input_.erase(
        0, std::min(input_.find_first_not_of("\r\n"), input_.size()));  // some clients send an empty line after a body
    if (input_.empty()) return;
    parser_ = std::make_unique<Parser>();
  }
  input_.erase(0, parser_->put(input_, [](std::string_view) {}));
  if (parser_->state() == Parser::State::failed) {
    return refuse(parser_->problem());
  }
  if (parser_->state() != Parser::State::head) on_head();
}

bool Connection::take_body() {
  std::optional<Problem> problem;
  const std::size_t taken = parser_->put(input_, [&](std::string_view piece) {
    if (!problem) problem = body_->put(piece);
  });
  input_.erase(0, taken);
  if (!problem && parser_->state() == Parser::State::failed) problem = parser_->problem();
  if (!problem && input_.size() > most_input && taken == 0) problem = Problem{400, "a chunk's header is too long", {}};
  if (problem) {
    refuse(*problem);
    return false;
  }
  if (parser_->state() != Parser::State::done) return false;
  body_over();
  return true;
}

// The part of the request that was read: of a refused head perhaps only the path.
Request Connection::take_request() {
  Request request;
  if (parser_) request = std::move(parser_->request());
  request.peer = peer_;
  const auto given = request.header("X-Request-Id");
  request.id = well_formed_id(given) ? std::string(given) : hexadecimal(++core_->next_id * 0x9e3779b97f4a7c15ULL);
  context_ = ReplyContext(request);
  return request;
}

void Connection::on_head() {
  Request request = take_request();
  keep_alive_ = parser_->keep_alive() && !core_->stopping;
  auto match = site_->router->find(request.method, request.path);
  route_ = match.route;
  request.captures = std::move(match.captures);
  Verdict verdict = site_->gate(request, route_);
  extra_ = std::move(verdict.headers);
  caller_ = verdict.principal;
  request.principal = std::move(verdict.principal);
  if (verdict.refusal) {
    if (parser_->has_body()) keep_alive_ = false;
    return answer(std::move(*verdict.refusal));
  }
  if (route_ == nullptr && request.method == "OPTIONS" && (!match.allow.empty() || request.path == "*")) {
    Reply reply{204, {}, {}, {}, {}};
    reply.headers.add("Allow", match.allow.empty() ? "GET, HEAD, POST, PUT, OPTIONS" : match.allow);
    if (parser_->has_body()) keep_alive_ = false;
    return answer(std::move(reply));
  }
  if (auto problem = problem_of_head(request, match)) return refuse(*problem);
  const bool upload = std::holds_alternative<UploadHandler>(route_->handler);
  exchange_ = std::make_shared<Exchange>(core_, weak_from_this(), use_, upload ? Lane::uploads : Lane::handlers);
  accept_body(std::move(request));
}

std::optional<Problem> Connection::problem_of_head(const Request& request, const Router::Match& match) const {
  if (core_->stopping) return Problem{503, "the server is being stopped", {}};
  if (route_ == nullptr && match.allow.empty()) return Problem{404, {}, {}};
  if (route_ == nullptr) {
    return Problem{
        405, request.method.substr(0, 32) + " is not allowed here; allowed: " + match.allow, {{"Allow", match.allow}}};
  }
  if (match.broken) return Problem{400, "the path has a broken percent escape", {}};
  if (route_->needs_certificate && peer_.certificate.empty()) {
    return Problem{403, "this endpoint needs a client certificate of this fleet", {}};
  }
  if (!parser_->has_body()) return std::nullopt;
  if (!route_->takes_body()) return Problem{400, "a " + request.method + " request has no body", {}};
  const auto coding = request.header("Content-Encoding");
  if (!coding.empty() && !equal_without_case(coding, "gzip") && !equal_without_case(coding, "x-gzip") &&
      !equal_without_case(coding, "identity")) {
    return Problem{415,
                   "the content coding is not supported; send the body uncompressed, or as gzip",
                   {{"Accept-Encoding", "gzip, identity"}}};
  }
  const bool whole = std::holds_alternative<Handler>(route_->handler);
  if (whole && parser_->content_length().value_or(0) > route_->body_limit) {
    return Problem{413, "the body is larger than " + std::to_string(route_->body_limit) + " bytes", {}};
  }
  if (use_->body_readers >= use_->most_body_readers && !get_place(true)) {
    return Problem{503, "too many requests of your address are being read; try again in a second", {}};
  }
  if (core_->body_readers.size() >= core_->bounds.body_readers && !get_place(false)) {
    return Problem{503, "too many requests are being read; try again in a second", {}};
  }
  return std::nullopt;
}

void Connection::accept_body(Request request) {
  const bool upload = std::holds_alternative<UploadHandler>(route_->handler);
  if (!parser_->has_body() && !upload) return dispatch(std::move(request));
  parser_->limit_body(upload ? most_upload : route_->body_limit);
  const bool awaits = !parser_->http_1_0() && equal_without_case(request.header("Expect"), "100-continue");
  request.share = share_of_bodies(core_, use_);
  body_ = std::make_shared<BodyReader>(
      core_, exchange_, *route_, std::move(request),
      [site = site_, context = context_](const Problem& problem) { return site->refuse(problem, context); });
  body_->begin();
  if (!parser_->has_body()) {
    phase_ = Phase::handling;
    deadline_ = Time::max();
    body_->end();
    body_.reset();
    return;
  }
  body_->caught_up = [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->phase_ != Phase::body) return;
    self->advance();
    self->wait_readable();
  };
  core_->body_readers.insert(this);
  ++use_->body_readers;
  phase_ = Phase::body;
  if (awaits && input_.empty()) put(std::string(continue_response));
}

// How far the body is behind the slowest that is permitted.
Duration Connection::lateness(Time now) const {
  return now - body_->began - std::chrono::milliseconds(body_->received() * 1000 / core_->bounds.slowest_body);
}

// Takes the place of the latest body: many that hardly send anything keep nobody out.
bool Connection::get_place(bool of_own_address) const {
  const Time now = monotonic_now();
  const auto late = [&](const Connection* reader) {
    const bool spared = reader->body_->behind() || (of_own_address && reader->use_ != use_);
    return spared ? Duration{0} : reader->lateness(now);
  };
  const auto latest = std::ranges::max_element(core_->body_readers, {}, late);
  if (latest == core_->body_readers.end() || late(*latest) < core_->bounds.late_body) return false;
  (*latest)->shared_from_this()->refuse({408, "the request came too slowly, and others needed its place", {}});
  return true;
}

void Connection::leave_body_readers() { use_->body_readers -= core_->body_readers.erase(this); }

void Connection::body_over() {
  leave_body_readers();
  phase_ = Phase::handling;
  deadline_ = Time::max();
  body_->end();
  body_.reset();
}

void Connection::dispatch(Request request) {
  phase_ = Phase::handling;
  deadline_ = Time::max();
  const auto& handler = std::get<Handler>(route_->handler);
  auto work = [&handler, exchange = exchange_, request = std::move(request)]() mutable {
    handler(std::move(request), Responder(exchange));
  };
  if (route_->quick) return run_contained(std::move(work));
  exchange_->run(std::move(work));
}

}  // namespace edgefleet::http_server
