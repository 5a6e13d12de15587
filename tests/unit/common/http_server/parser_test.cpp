#include "common/http_server/parser.hpp"

#include <vector>

#include "tests/support/catch.hpp"

using namespace edgefleet::http_server;

namespace {

struct Parsed {
  Parser::State state = Parser::State::head;
  int status = 0;
  Request request;
  std::string body;
  std::string rest;  // behind the message
};

// In pieces of this many bytes.
Parsed parse(const std::string& text, std::size_t piece_bytes = std::string::npos) {
  Parser parser;
  Parsed parsed;
  std::string input;
  std::size_t given = 0;
  bool moved = true;
  while (given < text.size() || moved) {
    const std::size_t bytes = std::min(piece_bytes, text.size() - given);
    input += text.substr(given, bytes);
    given += bytes;
    const auto state = parser.state();
    const std::size_t taken = parser.put(input, [&](std::string_view piece) { parsed.body += piece; });
    input.erase(0, taken);
    if (parser.state() == Parser::State::failed || parser.state() == Parser::State::done) break;
    moved = taken > 0 || state != parser.state();
  }
  parsed.rest = input + text.substr(given);
  parsed.state = parser.state();
  if (parsed.state == Parser::State::failed) parsed.status = parser.problem().status;
  parsed.request = parser.request();
  return parsed;
}

const std::string host = "Host: x\r\n";

}  // namespace

TEST_CASE("a request is the same however it is cut") {
  const std::vector<std::string> requests = {
      "GET /health?a=1 HTTP/1.1\r\n" + host + "\r\n",
      "POST /tasks HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello",
      "POST /tasks HTTP/1.1\r\n" + host +
          "Transfer-Encoding: chunked\r\n\r\n3;x=1\r\nhel\r\n2\r\nlo\r\n0\r\nT: 1\r\n\r\n",
      "POST /tasks HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  };
  for (const auto& request : requests) {
    const Parsed whole = parse(request + "GET /next");
    CHECK(whole.state == Parser::State::done);
    CHECK(whole.rest == "GET /next");
    for (std::size_t bytes = 1; bytes < request.size(); ++bytes) {
      const Parsed cut = parse(request, bytes);
      CHECK(cut.state == Parser::State::done);
      CHECK(cut.request.path == whole.request.path);
      CHECK(cut.body == whole.body);
      CHECK(cut.rest.empty());
    }
  }
}

TEST_CASE("a target is a path with its query, also behind a scheme and a host") {
  CHECK(parse("GET http://x:1/a%20b?q=1 HTTP/1.1\r\n" + host + "\r\n").request.path == "/a%20b");
  CHECK(parse("GET http://x:1/a?q=1 HTTP/1.1\r\n" + host + "\r\n").request.query == "q=1");
  CHECK(parse("GET http://x?q HTTP/1.1\r\n" + host + "\r\n").request.path == "/");
  CHECK(parse("OPTIONS * HTTP/1.1\r\n" + host + "\r\n").request.path == "*");
  CHECK(parse("CONNECT x:443 HTTP/1.1\r\n" + host + "\r\n").status == 400);
}

TEST_CASE("what two programs could read in two ways is refused") {
  const auto post = [](const std::string& headers) {
    return parse("POST / HTTP/1.1\r\n" + headers + "\r\nhello").status;
  };
  CHECK(post("Content-Length: 5\r\n") == 400);  // no Host
  CHECK(post(host + host) == 400);
  CHECK(post(host + "Content-Length: 5\r\nContent-Length: 6\r\n") == 400);
  CHECK(post(host + "Content-Length: 5\r\nContent-Length: 5\r\n") == 400);
  CHECK(post(host + "Content-Length: 5, 5\r\n") == 400);
  CHECK(post(host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") == 400);
  CHECK(post(host + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") == 400);
  CHECK(post(host + "Transfer-Encoding: gzip, chunked\r\n") == 501);
  CHECK(post(host + "Transfer-Encoding: identity\r\n") == 501);
  for (const char* length : {"+5", "-5", "0x5", "5x", "", "18446744073709551616"}) {
    INFO(length);
    CHECK(post(host + "Content-Length: " + length + "\r\n") == 400);
  }
  CHECK(parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").status == 400);
  CHECK(parse("GET / HTTP/1.1\n" + host + "\n").status == 400);
  CHECK(parse("GET / HTTP/2.0\r\n" + host + "\r\n").status == 505);
  CHECK(parse("GET / HTTP/1.1x HTTP/2.0\r\n" + host + "\r\n").status == 400);
  CHECK(parse(std::string("GET /\0x HTTP/1.1\r\n\r\n", 19)).status == 400);
}

TEST_CASE("a head has a bound, in one piece and in many") {
  const std::string line = "X-Filler: " + std::string(1000, 'x') + "\r\n";
  std::string head = "GET / HTTP/1.1\r\n" + host;
  while (head.size() + line.size() + 2 <= most_head) head += line;
  for (const std::size_t bytes : {std::size_t{777}, std::string::npos}) {
    CHECK(parse(head + "\r\n", bytes).state == Parser::State::done);
    CHECK(parse(head + line + line + "\r\n", bytes).status == 431);
  }
  CHECK(parse("GET /" + std::string(most_head, 'a')).status == 431);
}

TEST_CASE("chunks together have a bound, however they are cut") {
  const auto state_of = [](const std::string& chunks, std::size_t piece_bytes) {
    Parser parser;
    std::string body;
    std::string input = "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n";
    const auto piece = [&](std::string_view bytes) { body += bytes; };
    input.erase(0, parser.put(input, piece));
    parser.limit_body(8);
    for (std::size_t at = 0; at < chunks.size(); at += piece_bytes) {
      input += chunks.substr(at, piece_bytes);
      std::size_t taken = 0;
      while ((taken = parser.put(input, piece)) > 0) input.erase(0, taken);
    }
    CHECK(body.size() <= 8);
    return parser.state();
  };
  for (std::size_t bytes = 1; bytes < 40; ++bytes) {
    CHECK(state_of("5\r\nhello\r\n3\r\n...\r\n0\r\n\r\n", bytes) == Parser::State::done);
    CHECK(state_of("5\r\nhello\r\n4\r\n....\r\n0\r\n\r\n", bytes) == Parser::State::failed);
    CHECK(state_of("5;a=\"\r\nhello\r\n0\r\n\r\n", bytes) == Parser::State::body);  // not whole, so not counted
  }
}

TEST_CASE("a chunk that is none ends the request") {
  for (const char* bad : {"x\r\n", "-1\r\n", "5\r\nhelloXY\r\n", "ffffffffffffffffff\r\n"}) {
    INFO(bad);
    CHECK(parse("POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + bad).status == 400);
  }
}
