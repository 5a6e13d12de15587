// Any row of requests, in any pieces: each gets its own answer, whole and in order.
#include <rapidcheck.h>

#include <chrono>
#include <optional>

#include "tests/unit/common/http_server/transports.hpp"

using namespace edgefleet;
using namespace edgefleet::http_server;
using namespace std::chrono_literals;

namespace {

enum class Kind { quick, pooled, later, streamed, head, posted, chunked };

struct Asked {
  Kind kind;
  std::string text;  // in the path or the body
};

std::string chunks_of(const std::string& text) {
  std::string chunks;
  for (const char c : text) chunks += std::string("1;x=\"1\"\r\n") + c + "\r\n";
  return chunks + "0\r\nTrailer: 1\r\n\r\n";
}

std::string request_of(const Asked& asked) {
  const std::string version = " HTTP/1.1\r\nHost: x\r\n";
  switch (asked.kind) {
    case Kind::quick:
      return "GET /quick/" + asked.text + version + "\r\n";
    case Kind::pooled:
      return "GET /pooled/" + asked.text + version + "\r\n";
    case Kind::later:
      return "GET /later/" + asked.text + version + "\r\n";
    case Kind::streamed:
      return "GET /streamed/" + asked.text + version + "\r\n";
    case Kind::head:
      return "HEAD /pooled/" + asked.text + version + "\r\n";
    case Kind::posted:
      return "POST /posted" + version + "Content-Length: " + std::to_string(asked.text.size()) + "\r\n\r\n" +
             asked.text;
    case Kind::chunked:
      return "POST /posted" + version + "Transfer-Encoding: chunked\r\n\r\n" + chunks_of(asked.text);
  }
  return {};
}

Reply text_reply(const std::string& text) { return {200, text, "text/plain", {}, {}}; }

std::vector<Route> routes() {
  const auto word = answer_with([](const Request& request) { return text_reply(request.capture("text")); });
  Route quick{"GET", "/quick/{text}", "quick", "", "", word};
  quick.quick = true;
  return {
      quick,
      {"GET", "/pooled/{text}", "pooled", "", "", word},
      {"POST", "/posted", "posted", "", "", answer_with([](const Request& r) { return text_reply(r.body); })},
      {"GET", "/later/{text}", "later", "", "", Handler([](const Request& request, const Responder& responder) {
         responder.after(1ms, [responder, text = request.capture("text")] { responder.answer(text_reply(text)); });
       })},
      {"GET", "/streamed/{text}", "streamed", "", "", Handler([](const Request& request, const Responder& responder) {
         const auto stream = responder.stream(text_reply({}));
         for (const char c : request.capture("text")) (void)stream.send(std::string(1, c));
         stream.end();
       })}};
}

// The body of the next answer.
std::optional<std::string> next_body(test::SocketClient& client, bool without_body) {
  const auto head = client.take_until("\r\n\r\n");
  if (!head || !head->starts_with("HTTP/1.1 200 ")) return std::nullopt;
  if (without_body) return "";
  const auto length = head->find("Content-Length: ");
  if (length != std::string::npos) return client.take(std::stoul(head->substr(length + 16)));
  std::string body;
  while (const auto size = client.take_until("\r\n")) {
    const auto chunk = client.take(std::stoul(*size, nullptr, 16) + 2);
    if (!chunk || chunk->size() == 2) return chunk ? std::optional(body) : std::nullopt;
    body.append(*chunk, 0, chunk->size() - 2);
  }
  return std::nullopt;
}

rc::Gen<std::vector<Asked>> any_requests() {
  const auto letters = rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange('a', 'z')));
  return rc::gen::container<std::vector<Asked>>(rc::gen::construct<Asked>(
      rc::gen::element(Kind::quick, Kind::pooled, Kind::later, Kind::streamed, Kind::head, Kind::posted, Kind::chunked),
      letters));
}

}  // namespace

TEST_CASE("any row of requests is answered whole and in order, however it is cut") {
  const test::TransportServer server(test::any_transport(), routes());
  const bool holds = rc::check([&] {
    const auto requests = *any_requests();
    const auto cuts =
        *rc::gen::nonEmpty(rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 99)));
    std::string bytes;
    for (const auto& asked : requests) bytes += request_of(asked);
    test::SocketClient client(server.address);
    for (std::size_t at = 0, i = 0; at < bytes.size(); at += cuts[i++ % cuts.size()]) {
      RC_ASSERT(client.send(std::string_view(bytes).substr(at, cuts[i % cuts.size()])));
    }
    for (const auto& asked : requests) {
      const bool head = asked.kind == Kind::head;
      RC_ASSERT(next_body(client, head) == std::optional(head ? "" : asked.text));
    }
    RC_ASSERT(client.empty());
  });
  CHECK(holds);
}
