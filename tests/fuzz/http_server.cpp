// The input of the HTTP server. The first byte (modulo 4) selects the parser, the next three are the sizes of
// successive pieces (0: all that is left), the fifth is a bound; the rest is the input.
#include <zlib.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/http_server/address.hpp"
#include "common/http_server/file_reader.hpp"
#include "common/http_server/inflate.hpp"
#include "common/http_server/parser.hpp"
#include "common/http_server/route.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::fuzz;
using namespace edgefleet::http_server;

namespace {

constexpr std::size_t header_bytes = 5;
constexpr std::string_view end_of_head = "\r\n\r\n";
using Sizes = std::vector<std::size_t>;

std::vector<std::string_view> cut(std::string_view bytes, const Sizes& sizes) {
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; !bytes.empty(); ++i) {
    const std::size_t size = sizes[i % sizes.size()];
    pieces.push_back(bytes.substr(0, size));
    bytes.remove_prefix(pieces.back().size());
  }
  return pieces;
}

// ---- requests

struct Message {
  Parser::State state = Parser::State::head;
  int status = 0;
  std::string detail, method, path, query, body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::uint64_t> length;
  bool keep_alive = false;
  bool operator==(const Message&) const = default;
};

struct Messages {
  std::vector<Message> all;
  std::string rest;
  bool operator==(const Messages&) const = default;
};

// Reads one request after the other, as a connection does.
class Reader {
 public:
  explicit Reader(std::uint64_t body_limit) : body_limit_(body_limit) {}

  void put(std::string_view piece) {
    input_.append(piece);
    while (!failed_ && step()) {
    }
  }

  Messages finish() {
    if (parser_ && !failed_) record();
    found_.rest = failed_ ? "" : input_;
    return std::move(found_);
  }

 private:
  bool step() {
    if (!parser_) {
      input_.erase(0, std::min(input_.find_first_not_of("\r\n"), input_.size()));
      if (input_.empty()) return false;
      parser_ = std::make_unique<Parser>();
      raw_.clear();
      body_.clear();
    }
    const auto before = parser_->state();
    const std::size_t taken = parser_->put(input_, [this](std::string_view piece) { body_.append(piece); });
    require(taken <= input_.size(), "the parser does not take more than it was given");
    raw_.append(input_, 0, taken);
    input_.erase(0, taken);
    const auto state = parser_->state();
    if (before == Parser::State::head && state != before && state != Parser::State::failed) on_head();
    if (state != Parser::State::failed && state != Parser::State::done) return taken > 0 || state != before;
    record();
    failed_ = state == Parser::State::failed;
    parser_.reset();
    return !failed_;
  }

  void on_head() {
    require(raw_.find(end_of_head) + end_of_head.size() == raw_.size(), "a head ends at its first empty line");
    require(body_.empty(), "the parser stops before the body");
    parser_->limit_body(body_limit_);
    length_ = parser_->content_length();
  }

  void record() {
    const auto state = parser_->state();
    Request& request = parser_->request();
    Message message{state, 0, {}, request.method, request.path, request.query, body_, {}, {}, false};
    message.headers.assign(request.headers.begin(), request.headers.end());
    if (state == Parser::State::failed) {
      message.status = parser_->problem().status;
      message.detail = parser_->problem().detail;
      require(message.status >= 400 && message.status < 600 && !message.detail.empty(), "a failure has a reason");
    }
    if (state == Parser::State::done) {
      message.length = length_;
      message.keep_alive = parser_->keep_alive();
      check_request(request);
      check_extent(request);
      require(parser_->put("GET / HTTP/1.1\r\n", [](std::string_view) {}) == 0, "a message takes nothing of the next");
    }
    found_.all.push_back(std::move(message));
  }

  static void check_request(const Request& request) {
    require(request.path == "*" || request.path.starts_with('/'), "the target is a path");
    require(request.path.find('?') == std::string::npos, "the query is not part of the path");
    require(request.headers.count("Host") <= 1, "a request has one host");
    require(!request.headers.has("Content-Length") || !request.headers.has("Transfer-Encoding"),
            "a body has one kind of length");
    const std::string_view control("\r\n\0", 3);
    for (const auto& [name, value] : request.headers) {
      require(!name.empty() && name.find_first_of(control) == std::string::npos, "a header's name is one word");
      require(value.find_first_of(control) == std::string::npos, "a header's value is one line");
    }
  }

  // Checks the end of the message, independently of the parser.
  void check_extent(const Request& request) const {
    const std::string_view after = std::string_view(raw_).substr(raw_.find(end_of_head) + end_of_head.size());
    if (request.headers.has("Transfer-Encoding")) {
      require(body_.size() <= body_limit_, "chunks stay within their bound");
      require(unchunked(after) == body_,
              "the body is the content of the chunks, and its end is the end of the message");
    } else {
      require(after == body_ && body_.size() == length_.value_or(0), "a body is as long as its head announces");
    }
  }

  // No value: `bytes` is not exactly one chunked body.
  static std::optional<std::string> unchunked(std::string_view bytes) {
    std::string body;
    while (true) {
      const auto line = bytes.substr(0, bytes.find("\r\n"));
      const auto digits = std::min(line.find_first_not_of("0123456789abcdefABCDEF"), line.size());
      if (digits == 0 || line.size() + 2 > bytes.size()) return std::nullopt;
      const auto size = std::stoull(std::string(line.substr(0, digits)), nullptr, 16);
      if (size == 0) {
        const auto end = bytes.find(end_of_head);  // also after trailers
        return end + end_of_head.size() == bytes.size() ? std::optional(body) : std::nullopt;
      }
      bytes.remove_prefix(line.size() + 2);
      if (bytes.size() < size + 2 || bytes.substr(size, 2) != "\r\n") return std::nullopt;
      body.append(bytes.substr(0, size));
      bytes.remove_prefix(size + 2);
    }
  }

  const std::uint64_t body_limit_;
  std::unique_ptr<Parser> parser_;
  std::optional<std::uint64_t> length_;
  std::string input_, raw_, body_;  // raw_: the bytes of the current message
  bool failed_ = false;
  Messages found_;
};

Messages read(std::string_view bytes, const Sizes& sizes, std::uint64_t body_limit) {
  Reader reader(body_limit);
  for (const auto piece : cut(bytes, sizes)) reader.put(piece);
  return reader.finish();
}

// An error in a head may be detected only at its end, so each head here is complete.
void check_requests(std::string_view bytes, const Sizes& sizes, std::uint64_t body_limit) {
  const std::string text = std::string(bytes) + std::string(end_of_head);
  require(read(text, sizes, body_limit) == read(text, {text.size()}, body_limit),
          "how requests are cut into pieces changes nothing");
}

// ---- gzip

struct Inflated {
  Inflater::Outcome outcome = Inflater::Outcome::more;
  bool complete = false;
  std::string bytes;
};

Inflated inflated(std::string_view compressed, const Sizes& sizes, std::size_t bound) {
  Inflated found;
  Inflater inflater;
  for (const auto piece : cut(compressed, sizes)) {
    found.outcome = inflater.put(piece, [&](std::string_view part) {
      require(!part.empty() && part.size() <= 64UL * 1024, "inflated parts are bounded");
      if (found.bytes.size() + part.size() > bound) return false;
      found.bytes.append(part);
      return true;
    });
    if (found.outcome != Inflater::Outcome::more) break;
  }
  found.complete = inflater.complete();
  return found;
}

Inflated check_gzip(std::string_view compressed, const Sizes& sizes, std::size_t bound) {
  Inflated in_pieces = inflated(compressed, sizes, bound);
  const Inflated whole = inflated(compressed, {compressed.size()}, bound);
  require(in_pieces.outcome == whole.outcome, "the result does not depend on the pieces of the gzip data");
  if (whole.outcome == Inflater::Outcome::refused) return in_pieces;  // each kept a different part
  require(in_pieces.bytes == whole.bytes && in_pieces.complete == whole.complete,
          "the content does not depend on the pieces");
  return in_pieces;
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  require(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "zlib is ready");
  std::string compressed(deflateBound(&stream, text.size()), '\0');
  std::string input(text);
  stream.next_in = reinterpret_cast<Bytef*>(input.data());  // NOLINT: zlib's bytes
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(compressed.data());  // NOLINT: zlib's bytes
  stream.avail_out = static_cast<uInt>(compressed.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "there is room for all");
  compressed.resize(stream.total_out);
  deflateEnd(&stream);
  return compressed;
}

// Several members in sequence become the concatenation of their contents.
void check_round_trip(std::string_view text, const Sizes& sizes, std::size_t bound) {
  const auto half = text.size() / 2;
  const std::string compressed = gzip(text.substr(0, half)) + gzip(text.substr(half));
  const Inflated found = check_gzip(compressed, sizes, bound);
  if (text.size() > bound) {
    require(found.outcome == Inflater::Outcome::refused, "content that exceeds the bound is refused");
  } else {
    require(found.complete && found.bytes == text, "inflated data is the original data");
  }
}

// ---- lines: targets, headers, options

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (path.starts_with('/')) {
    const auto end = std::min(path.find('/', 1), path.size());
    segments.push_back(path.substr(1, end - 1));
    path.remove_prefix(end);
  }
  return segments;
}

bool fits(std::string_view pattern, std::string_view path) {
  const auto wanted = split(pattern);
  const auto given = split(path);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i >= given.size()) return false;
    if (wanted[i].ends_with("...}")) return true;
    const bool same = wanted[i].starts_with('{') ? !given[i].empty() : percent_decode(given[i], false) == wanted[i];
    if (!same) return false;
  }
  return wanted.size() == given.size();
}

const Router& router() {
  static const auto route = [](const char* method, const char* pattern) {
    return Route{method, pattern, pattern, "", "", Handler([](const Request&, const Responder&) {})};
  };
  static const Router table({route("GET", "/health"), route("GET", "/api/tasks"), route("POST", "/api/tasks"),
                             route("GET", "/api/tasks/{id}"), route("DELETE", "/api/tasks/{id}"),
                             route("POST", "/api/tasks/{id}/cancel"), route("GET", "/api/{kind}/{id}/log"),
                             route("GET", "/v1/models/{model...}"), route("POST", "/v1/models"),
                             route("GET", "/{any}/x/{rest...}"), route("PUT", "/")});
  return table;
}

void check_route(std::string_view method, std::string_view path) {
  const auto match = router().find(method, path);
  const auto& routes = router().routes();
  const bool known = std::any_of(routes.begin(), routes.end(), [&](const Route& r) { return fits(r.pattern, path); });
  require(match.allow.empty() != known, "a path has a route if a pattern fits");
  if (match.route == nullptr) return;
  require(fits(match.route->pattern, path), "a route is found by its pattern");
  require(match.route->method == (method == "HEAD" ? "GET" : method), "a route is found by its method");
  if (match.broken) return;
  for (const auto segment : split(match.route->pattern)) {
    if (!segment.starts_with('{')) continue;
    const auto name = segment.substr(1, segment.find_first_of(".}") - 1);
    require(match.captures.find(name) != match.captures.end(), "a route has all its captures");
  }
}

void check_range(std::string_view header, std::uint64_t size) {
  ByteRange range{0, size};
  const auto kind = read_range(header, size, range);
  if (kind == RangeKind::part) {
    require(range.count > 0 && range.first < size && range.count <= size - range.first, "a range is within the file");
  } else {
    require(range.first == 0 && range.count == size, "without a range it is the whole file");
  }
}

void check_listen(const std::string& text) {
  const auto address = parse_listen(text);
  if (!address) return;
  require(address->port >= 0 && address->port <= 65535, "a port is within its range");
  if (address->all()) {
    const auto host = text.substr(0, text.rfind(':'));
    const auto all = {"", "*", "::", "[::]"};
    return require(std::find(all.begin(), all.end(), host) != all.end(),
                   "only the names of all addresses mean all addresses");
  }
  if (address->host == "0.0.0.0") return;  // printed as an address that can be opened
  const std::string url = url_of(*address, false);
  const auto again = parse_listen(url.substr(url.find("://") + 3));
  require(again && again->host == address->host && again->port == address->port,
          "an address is printed as it was read");
}

std::string encoded(std::string_view text) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string all;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    all.append({'%', digits[byte / 16], digits[byte % 16]});
  }
  return all;
}

void check_escapes(std::string_view text) {
  for (const bool plus : {false, true}) {
    const auto decoded = percent_decode(text, plus);
    if (!decoded) continue;
    require(decoded->size() <= text.size() && decoded->find('\0') == std::string::npos, "decoded text is text");
  }
  const auto back = percent_decode(encoded(text), false);
  require(text.find('\0') == std::string_view::npos ? back == text : !back, "encoded text is decoded");
}

void check_parameter(std::string_view name, std::string_view value) {
  Request request;
  request.query = std::string(name);
  (void)request.parameter(value);
  if (name.find('\0') != std::string_view::npos || value.find('\0') != std::string_view::npos) return;
  request.query =
      encoded(std::string(name) + "x") + "=1&" + encoded(name) + "=" + encoded(value) + "&" + encoded(name) + "=2";
  require(request.parameter(name) == value, "a parameter has its first value");
}

void check_lines(std::string_view bytes, std::uint64_t size) {
  const auto first = take_line(bytes);
  const auto second = take_line(bytes);
  check_route(first, second);
  check_range(first, size);
  check_range("bytes=" + std::string(first), size);
  check_listen(std::string(first));
  check_escapes(first);
  check_parameter(first, second);
  const Headers headers{{"Connection", std::string(first)}, {"connection", "close"}};
  require(headers.lists("CONNECTION", "Close"), "a list has its elements");
  (void)headers.lists("Connection", second);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < header_bytes) return 0;
  const auto bytes = text_of(data + header_bytes, size - header_bytes);
  Sizes sizes;
  for (std::size_t i = 1; i <= 3; ++i) sizes.push_back(data[i] == 0 ? std::string_view::npos : data[i]);
  const std::size_t bound = std::size_t{data[4]} * 64;
  switch (data[0] % 4) {
    case 0:
      check_requests(bytes, sizes, bound);
      break;
    case 1:
      check_gzip(bytes, sizes, bound);
      break;
    case 2:
      check_round_trip(bytes, sizes, bound);
      break;
    default:
      check_lines(bytes, bound);
  }
  return 0;
}
