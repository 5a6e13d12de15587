// A real server on the loopback interface, spoken to through bare sockets.
#include "common/http_server/server.hpp"

#include <atomic>
#include <chrono>
#include <latch>
#include <mutex>
#include <thread>

#include "tests/unit/common/http_server/transports.hpp"

using namespace edgefleet;
using namespace edgefleet::http_server;
using namespace std::chrono_literals;
using test::any_transport;
using test::Transport;

namespace {

using Client = test::SocketClient;

Reply text_reply(const std::string& text) { return {200, text, "text/plain", {}, {}}; }

// What a test's handlers keep.
struct Kept {
  std::mutex mutex;
  std::vector<Responder> responders;
  std::atomic<int> gone{0};
  std::latch arrived{1};
};

class Fixture {
 public:
  explicit Fixture(Transport transport, const Bounds& bounds = {}) : listening(transport, routes(), bounds) {}

  std::vector<Route> routes() {
    std::vector<Route> routes;
    Route quick{"GET", "/quick", "quick", "", "", answer_with([](const Request&) { return text_reply("quick"); })};
    quick.quick = true;
    routes.push_back(std::move(quick));
    routes.push_back({"GET", "/name/{name}", "name", "", "",
                      answer_with([](const Request& request) { return text_reply(request.capture("name")); })});
    routes.push_back(
        {"POST", "/echo", "echo", "", "", answer_with([](const Request& r) { return text_reply(r.body); })});
    routes.back().body_limit = 1000;
    routes.push_back({"GET", "/kept", "kept", "", "", Handler([this](const Request&, const Responder& responder) {
                        responder.on_gone([this] { ++kept.gone; });
                        const std::lock_guard lock(kept.mutex);
                        kept.responders.push_back(responder);
                        if (kept.responders.size() == 1) kept.arrived.count_down();
                      })});
    routes.push_back({"GET", "/dropped", "dropped", "", "", Handler([](const Request&, const Responder&) {})});
    routes.push_back({"GET", "/thrown", "thrown", "", "",
                      Handler([](const Request&, const Responder&) { throw std::runtime_error("x"); })});
    routes.push_back({"GET", "/quick-thrown", "quick-thrown", "", "",
                      Handler([](const Request&, const Responder&) { throw std::runtime_error("x"); })});
    routes.back().quick = true;
    routes.push_back({"GET", "/large/{size}", "large", "", "", answer_with([](const Request& request) {
                        return text_reply(std::string(std::stoul(request.capture("size")), 'x'));
                      })});
    routes.push_back(
        {"GET", "/thrown-later", "thrown-later", "", "", Handler([this](const Request&, const Responder& responder) {
           responder.on_gone([responder] {});  // so that it is not dropped
           responder.after(1ms, [] { throw std::runtime_error("x"); });
           const std::lock_guard lock(kept.mutex);
           kept.responders.push_back(responder);
         })});
    routes.push_back(
        {"GET", "/thrown-stream", "thrown-stream", "", "", Handler([this](const Request&, const Responder& responder) {
           streams.push_back(responder.stream({200, {}, "text/plain", {}, {}}));
           (void)streams.back().send("part");
           responder.after(1ms, [] { throw std::runtime_error("x"); });
           const std::lock_guard lock(kept.mutex);
           kept.responders.push_back(responder);
         })});
    routes.push_back({"GET", "/later", "later", "", "", Handler([](const Request&, const Responder& responder) {
                        responder.after(5ms, [responder] { responder.answer(text_reply("later")); });
                      })});
    routes.push_back({"GET", "/stream", "stream", "", "", Handler([](const Request&, const Responder& responder) {
                        const auto stream = responder.stream({200, {}, "text/event-stream", {}, {}});
                        (void)stream.send("one");
                        (void)stream.send("two");
                        stream.end();
                      })});
    routes.push_back({"GET", "/cut", "cut", "", "", Handler([](const Request&, const Responder& responder) {
                        (void)responder.stream({200, {}, "text/plain", {}, {}}).send("part");
                      })});
    routes.push_back({"GET", "/flood", "flood", "", "", Handler([this](const Request&, const Responder& responder) {
                        const auto stream = responder.stream({200, {}, "text/plain", {}, {}});
                        const std::string piece(64 * 1024, 'x');
                        std::size_t sent = 0;
                        while (sent < std::size_t{1} << 30U && stream.send(piece)) sent += piece.size();
                        flooded = sent;
                        kept.arrived.count_down();
                      })});
    routes.push_back({"GET", "/burst", "burst", "", "", Handler([](const Request&, const Responder& responder) {
                        const auto stream = responder.stream({200, {}, "text/plain", {}, {}});
                        (void)stream.send(std::string(20'000'000, 'x'));
                        for (int i = 0; i < 3; ++i) (void)stream.send("then");
                        stream.end();
                      })});
    routes.push_back(
        {"PUT", "/upload", "upload", "", "", UploadHandler([](const Request&) {
           auto bytes = std::make_shared<std::size_t>(0);
           return Upload{[bytes](std::string_view piece) { return (*bytes += piece.size()) <= 100'000; },
                         [bytes](const Responder& responder) { responder.answer(text_reply(std::to_string(*bytes))); }};
         })});
    return routes;
  }

  std::string ask(const std::string& request) const {
    Client client(address);
    client.send(request);
    client.end();
    return client.read_all();
  }

  Kept kept;
  std::vector<Stream> streams;
  std::atomic<std::size_t> flooded{0};
  test::TransportServer listening;
  Server& server = listening.loopback.server;
  const test::Address& address = listening.address;
};

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"; }

std::string body_of(const std::string& reply) {
  const auto end = reply.find("\r\n\r\n");
  return end == std::string::npos ? "" : reply.substr(end + 4);
}

int status_of(const std::string& reply) { return reply.starts_with("HTTP/1.1 ") ? std::stoi(reply.substr(9, 3)) : 0; }

}  // namespace

TEST_CASE("a server answers at once, from the pool, later and with a stream") {
  const Fixture fixture(any_transport());
  CHECK(body_of(fixture.ask(get("/quick"))) == "quick");
  CHECK(body_of(fixture.ask(get("/name/pi%201"))) == "pi 1");
  CHECK(body_of(fixture.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")) == "hello");
  Client client(fixture.address);
  client.send(get("/later"));
  CHECK(body_of(client.read_until("later\0")).empty() == false);
  Client stream(fixture.address);
  stream.send(get("/stream"));
  CHECK(body_of(stream.read_until("0\r\n\r\n")) == "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
  Client old(fixture.address);
  old.send("GET /stream HTTP/1.0\r\n\r\n");
  CHECK(body_of(old.read_all()) == "onetwo");
}

TEST_CASE("requests that come together are answered in their order") {
  const Fixture fixture(any_transport());
  Client client(fixture.address);
  std::string all;
  for (int i = 0; i < 100; ++i) all += get(i % 2 == 0 ? "/quick" : "/name/n" + std::to_string(i));
  client.send(all + get("/name/last"));
  const std::string got = client.read_until("last");
  std::size_t at = 0;
  for (int i = 1; i < 100; i += 2) {
    const auto found = got.find("\r\n\r\nn" + std::to_string(i) + "HTTP", at);
    REQUIRE(found != std::string::npos);
    at = found;
  }
}

TEST_CASE("a request that is dropped, or fails, is answered 500") {
  const Fixture fixture(any_transport());
  CHECK(status_of(fixture.ask(get("/dropped"))) == 500);
  CHECK(status_of(fixture.ask(get("/thrown"))) == 500);
  CHECK(status_of(fixture.ask(get("/quick-thrown"))) == 500);
  CHECK(status_of(fixture.ask(get("/quick"))) == 200);
}

TEST_CASE("work of a request that throws later ends the request, too") {
  const Fixture fixture(any_transport());
  CHECK(status_of(fixture.ask(get("/thrown-later"))) == 500);
  Client client(fixture.address);
  client.send(get("/thrown-stream"));
  const std::string cut = client.read_all();  // ends
  CHECK(cut.find("part") != std::string::npos);
  CHECK_FALSE(cut.ends_with("0\r\n\r\n"));
}

TEST_CASE("an answer of any size is whole, whether the connection stays open, closes, or its client has sent all") {
  const auto transport = any_transport();
  for (const std::size_t size : {0UL, 1UL, 16'383UL, 16'384UL, 16'385UL, 100'000UL, 5'000'000UL}) {
    for (const char* how :
         {" HTTP/1.1\r\nHost: x\r\n\r\n", " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", " HTTP/1.0\r\n\r\n"}) {
      INFO(size << how);
      const Fixture fixture(transport);
      Client client(fixture.address);
      client.send("GET /large/" + std::to_string(size) + how);
      const auto head = client.take_until("\r\n\r\n");
      REQUIRE(head);
      const auto body = client.take(size);
      REQUIRE(body);
      CHECK(body->find_first_not_of('x') == std::string::npos);
      CHECK(body_of(fixture.ask("GET /large/" + std::to_string(size) + how)).size() == size);  // half-closed
    }
  }
}

TEST_CASE("an answer that has begun when the server stops is whole") {
  Fixture fixture(any_transport());
  Client client(fixture.address);
  client.send(get("/large/20000000"));  // more than the buffers of the sockets
  REQUIRE(client.take_until("\r\n\r\n"));
  fixture.server.stop();
  CHECK(client.take(20'000'000));
}

TEST_CASE("an upload in chunks of one byte costs others little") {
  const Fixture fixture(any_transport());
  Client client(fixture.address);
  client.send("PUT /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string chunks;
  for (int i = 0; i < 90'000; ++i) chunks += "1\r\nx\r\n";
  client.send(chunks + "0\r\n\r\n");
  CHECK(client.read_until("90000").find("90000") != std::string::npos);
}

TEST_CASE("the answer to HEAD has no body, and the next one has") {
  const Fixture fixture(any_transport());
  Client client(fixture.address);
  client.send("HEAD /quick HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(client.take_until("\r\n\r\n"));
  client.send("GET /quick HTTP/1.1\r\n\r\n");
  const std::string refused = client.read_all();
  CHECK(status_of(refused) == 400);
  CHECK_FALSE(body_of(refused).empty());
}

TEST_CASE("a stream that is dropped is cut, not ended") {
  const Fixture fixture(any_transport());
  Client client(fixture.address);
  client.send(get("/cut"));
  CHECK(client.read_all().find("\r\n0\r\n") == std::string::npos);
}

TEST_CASE("a client that leaves, or closes its side, is gone for the handler") {
  Fixture fixture(any_transport());
  {
    const Client client(fixture.address);
    client.send(get("/kept"));
    fixture.kept.arrived.wait();
  }
  while (fixture.kept.gone == 0) std::this_thread::yield();
  CHECK(fixture.kept.responders.front().gone());
  Client half(fixture.address);
  half.send(get("/kept"));
  half.end();
  while (fixture.kept.gone < 2) std::this_thread::yield();
  fixture.kept.responders.back().answer(text_reply("all the same"));
  CHECK(body_of(half.read_all()) == "all the same");
  fixture.kept.responders.clear();
}

TEST_CASE("an answer is given once, and may come after the server") {
  std::vector<Responder> kept;
  {
    Fixture fixture(any_transport());
    Client client(fixture.address);
    client.send(get("/kept"));
    fixture.kept.arrived.wait();
    const std::lock_guard lock(fixture.kept.mutex);
    fixture.kept.responders.front().answer(text_reply("first"));
    fixture.kept.responders.front().answer(text_reply("second"));
    CHECK(body_of(client.read_until("first")) == "first");
    kept.swap(fixture.kept.responders);
  }
  kept.front().answer(text_reply("too late"));
  const auto held = std::make_shared<int>(1);
  kept.front().run([responder = kept.front(), held] {});
  kept.front().after(1ms, [responder = kept.front(), held] {});
  kept.clear();
  CHECK(held.use_count() == 1);  // nothing that will not run is kept
}

TEST_CASE("a reader that does not read is cut off, and costs a bounded amount") {
  Fixture fixture(any_transport());
  const Client client(fixture.address);
  client.send(get("/flood"));
  fixture.kept.arrived.wait();
  CHECK(fixture.flooded < 64U * 1024 * 1024);  // what the kernel's buffers take, and Stream::most_behind
}

TEST_CASE("pieces that come at once, however large, cut nobody off who reads them") {
  const Fixture fixture(any_transport());
  Client client(fixture.address);
  client.send(get("/burst"));
  const auto answer = client.read_until("\r\n0\r\n\r\n");
  CHECK(answer.size() > 20'000'000);
  CHECK(answer.ends_with("0\r\n\r\n"));
}

TEST_CASE("a reader that stays behind is cut off before it has a burst's room") {
  Bounds bounds;
  bounds.catch_up = Duration{0};
  Fixture fixture(any_transport(), bounds);
  const Client client(fixture.address);
  client.send(get("/flood"));
  fixture.kept.arrived.wait();
  CHECK(fixture.flooded < Stream::most_burst);
}

TEST_CASE("bodies have a bound, announced or not") {
  const Fixture fixture(any_transport());
  CHECK(status_of(fixture.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")) == 413);
  const std::string chunk = "3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n";
  CHECK(status_of(fixture.ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)) == 413);
  const std::string most(1000, 'x');
  CHECK(body_of(fixture.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + most)) == most);
  const std::string large(200'000, 'x');
  CHECK(body_of(fixture.ask("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" +
                            large.substr(0, 100'000))) == "100000");
  const auto refused = fixture.ask("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + large);
  CHECK(std::stoi(body_of(refused)) > 100'000);  // as its handler says
  CHECK(body_of(fixture.ask("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")) == "0");
}

TEST_CASE("a body that ends early is no body") {
  const Fixture fixture(any_transport());
  CHECK(status_of(fixture.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")) == 400);
  CHECK(status_of(fixture.ask("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")) == 400);
}

TEST_CASE("a client that is too slow, or idle, is told so or closed") {
  Bounds bounds;
  bounds.head = bounds.body = 50ms;
  bounds.idle = 100ms;
  bounds.slowest_body = 1'000'000;
  const Fixture fixture(any_transport(), bounds);
  Client head(fixture.address);
  head.send("GET /quick HTTP/1.1\r\nHos");
  CHECK(status_of(head.read_all()) == 408);
  Client body(fixture.address);
  body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe");
  CHECK(status_of(body.read_all()) == 408);
  Client idle(fixture.address);
  CHECK(idle.read_all().empty());
}

TEST_CASE("connections have a bound, and those beyond are told") {
  Bounds bounds;
  bounds.connections = 2;
  const auto transport = any_transport();
  const Fixture fixture(transport, bounds);
  Client first(fixture.address);
  Client second(fixture.address);
  for (Client* one : {&first, &second}) {
    one->send(get("/quick"));
    CHECK(body_of(one->read_until("quick")) == "quick");
  }
  Client third(fixture.listening.loopback.port);  // in the clear: a text before the handshake would not be read
  CHECK(status_of(third.read_all()) == (transport == Transport::plain ? 503 : 0));
}

TEST_CASE("a stop lets answers through that are on their way, and closes all else") {
  Bounds bounds;
  bounds.stop = 10s;
  Fixture fixture(any_transport(), bounds);
  Client idle(fixture.address);
  idle.send(get("/quick"));
  idle.read_until("quick");
  Client waiting(fixture.address);
  waiting.send(get("/kept"));
  fixture.kept.arrived.wait();
  fixture.server.stop();
  CHECK(body_of(idle.read_all()) == "quick");
  CHECK_FALSE(fixture.server.stopped_within(0ms));
  {
    const std::lock_guard lock(fixture.kept.mutex);
    fixture.kept.responders.front().answer(text_reply("in time"));
    fixture.kept.responders.clear();
  }
  const auto reply = waiting.read_until("in time");
  CHECK(reply.find("Connection: close") != std::string::npos);
  waiting.end();
  CHECK(fixture.server.stopped_within(10s));
}
