#include "common/http_server/parser.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>

namespace edgefleet::http_server {
namespace {

namespace beast = boost::beast;

// Beast asserts that the end of the last chunk, "0\r\n\r\n", is complete when it parses that line a second time.
bool cut_last_chunk(std::string_view rest) { return rest.starts_with('0') && rest.size() < 5; }

// Detects HTTP/2.0, as opposed to an invalid version. Only the bytes that Beast has read count, even if there are more:
// the version follows the second space.
bool other_version(std::string_view line) {
  constexpr std::string_view name = " HTTP/";
  line.remove_prefix(std::min(line.find(' '), line.size()));
  line.remove_prefix(std::min(line.find(' ', 1), line.size()));
  if (!line.starts_with(name) || line.size() == name.size()) return false;
  const char major = line[name.size()];
  return major >= '0' && major <= '9' && major != '1';
}

Problem problem_of(const beast::error_code& error, std::string_view input) {
  using Kind = beast::http::error;
  if (error == Kind::header_limit) {
    return {431, "the first line and the headers exceed " + std::to_string(most_head) + " bytes", {}};
  }
  if (error == Kind::body_limit) return {413, "the body is larger than this endpoint accepts", {}};
  if (error == Kind::bad_version && other_version(input)) {
    return {505, "this server supports HTTP/1.1 and HTTP/1.0", {}};
  }
  if (error == Kind::bad_transfer_encoding) {
    return {400, "Transfer-Encoding and Content-Length contradict each other", {}};
  }
  return {400, "the request is not valid HTTP: " + error.message(), {}};
}

bool valid_host(std::string_view host) {
  return host.find_first_of(" \t/\\@?#,") == std::string_view::npos && host.size() <= 300;
}

}  // namespace

struct Parser::Beast final : public beast::http::basic_parser<true> {
  Beast() {
    header_limit(static_cast<std::uint32_t>(most_head));
    body_limit(boost::none);  // Beast's limit counts a chunk again when it reads its header again
    eager(false);
  }

  Request request;
  Headers trailers;
  Problem problem;
  int version = 0;  // 10 or 11
  bool head_done = false;
  bool failed = false;
  std::size_t head_taken = 0;
  std::uint64_t chunk_left = 0;  // of the current chunk
  std::uint64_t chunks_left = std::numeric_limits<std::uint64_t>::max();  // of the bound on all chunks together
  const Piece* piece = nullptr;

  [[nodiscard]] bool expects_chunk() const { return head_done && chunked() && chunk_left == 0; }

  // Refuses what Beast accepts but this server does not. The target becomes path and query.
  [[nodiscard]] std::optional<Problem> check_head() {
    const auto absolute = request.path.find("://");
    if (absolute != std::string::npos && (equal_without_case(request.path.substr(0, absolute), "http") ||
                                          equal_without_case(request.path.substr(0, absolute), "https"))) {
      const auto slash = std::min(request.path.find_first_of("/?", absolute + 3), request.path.size());
      request.path.erase(0, slash);
      if (!request.path.starts_with('/')) request.path.insert(0, "/");
    }
    if (const auto mark = request.path.find('?'); mark != std::string::npos) {
      request.query = request.path.substr(mark + 1);
      request.path.resize(mark);
    }
    if (!request.path.starts_with('/') && request.path != "*") {
      return Problem{400, "the request target is not a path", {}};
    }
    const auto& headers = request.headers;
    const auto hosts = headers.count("Host");
    if (hosts > 1 || (hosts == 0 && version == 11) || !valid_host(headers.get("Host"))) {
      return Problem{400, "a request must have one Host header: HOST or HOST:PORT", {}};
    }
    if (headers.has("Transfer-Encoding") && (version != 11 || headers.count("Transfer-Encoding") > 1 ||
                                             !equal_without_case(headers.get("Transfer-Encoding"), "chunked"))) {
      return Problem{version == 11 ? 501 : 400, "the only supported transfer coding is chunked, in HTTP/1.1", {}};
    }
    // Two equal headers are refused too: an intermediary may interpret them differently.
    if (headers.count("Content-Length") > 1 || headers.get("Content-Length").find(',') != std::string_view::npos) {
      return Problem{400, "there is more than one Content-Length", {}};
    }
    return std::nullopt;
  }

  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int number,
                       beast::error_code&) override {
    version = number;
    request.method.assign(method.data(), method.size());
    request.path.assign(target.data(), target.size());
  }
  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     beast::error_code&) override {
    if (head_done) return;  // a trailer: trailers are not used
    request.headers.add(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
  void on_header_impl(beast::error_code&) override { head_done = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, beast::error_code&) override {
    (*piece)({body.data(), body.size()});
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t size, beast::string_view, beast::error_code& error) override {
    if (size > chunks_left) {
      error = beast::http::error::body_limit;
      return;
    }
    chunk_left = size;
    chunks_left -= size;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, beast::error_code&) override {
    chunk_left -= body.size();
    (*piece)({body.data(), body.size()});
    return body.size();
  }
  void on_finish_impl(beast::error_code&) override {}
};

Parser::Parser() : beast_(std::make_unique<Beast>()) {}
Parser::~Parser() = default;

std::size_t Parser::put(std::string_view input, const Piece& piece) {
  Beast& beast = *beast_;
  const auto fail = [&](Problem problem) {
    beast.failed = true;
    beast.problem = std::move(problem);
  };
  beast.piece = &piece;
  std::size_t taken = 0;
  const bool in_head = !beast.head_done;
  while (!beast.failed && !beast.is_done() && taken < input.size()) {
    beast::error_code error;
    const std::string_view rest = input.substr(taken);
    if (beast.expects_chunk() && cut_last_chunk(rest)) break;
    const std::size_t used = beast.put(boost::asio::buffer(rest.data(), rest.size()), error);
    taken += used;
    if (in_head) beast.head_taken += used;  // Beast bounds the bytes it has not taken yet, and takes header by header
    if (error == beast::http::error::need_more) break;
    if (error) fail(problem_of(error, rest));
    if (error || (in_head && beast.head_done)) break;
  }
  if (beast.failed || !in_head) return taken;
  const std::size_t waiting = beast.head_done ? 0 : input.size() - taken;
  if (beast.head_taken + waiting > most_head) {
    fail(problem_of(make_error_code(beast::http::error::header_limit), {}));
  } else if (beast.head_done) {
    if (auto problem = beast.check_head()) fail(std::move(*problem));
  }
  return taken;
}

void Parser::limit_body(std::uint64_t bytes) { beast_->chunks_left = bytes; }

Parser::State Parser::state() const {
  if (beast_->failed) return State::failed;
  if (!beast_->head_done) return State::head;
  return beast_->is_done() ? State::done : State::body;
}

const Problem& Parser::problem() const { return beast_->problem; }
Request& Parser::request() { return beast_->request; }
bool Parser::keep_alive() const { return beast_->keep_alive(); }
bool Parser::http_1_0() const { return beast_->version == 10; }
bool Parser::has_body() const { return !beast_->is_done(); }
std::optional<std::uint64_t> Parser::content_length() const {
  const auto length = beast_->content_length();
  return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
}

}  // namespace edgefleet::http_server
