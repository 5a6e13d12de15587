// What one client, one address or one slow disk may take from the others.
#include <atomic>
#include <fstream>
#include <latch>

#include "common/http_server/pool.hpp"
#include "tests/unit/common/http_server/transports.hpp"

using namespace edgefleet;
using namespace edgefleet::http_server;
using test::Address;
using test::any_transport;
using test::soon;
using test::Transport;
using Client = test::SocketClient;

namespace {

constexpr std::size_t large = 20'000'000;  // more than the buffers of the sockets

Reply text_reply(const std::string& text) { return {200, text, "text/plain", {}, {}}; }

// A disk that does not answer until the test says so.
struct Disk {
  std::latch answers{1};
  std::atomic<int> waiting{0};
  std::atomic<int> abandoned{0};
  void wait() {
    ++waiting;
    answers.wait();
  }
};

std::vector<Route> routes(Disk& disk, const std::string& file) {
  Route quick{"GET", "/quick", "quick", "", "", answer_with([](const Request&) { return text_reply("quick"); })};
  quick.quick = true;
  Route burst{"GET", "/burst", "burst", "", "", Handler([](const Request&, const Responder& responder) {
                const auto stream = responder.stream(text_reply({}));
                for (int i = 0; i < 3; ++i) (void)stream.send(std::string(64 * 1024, 'x'));
                stream.end();
              })};
  burst.quick = true;  // so that nothing is written between two pieces
  return {quick,
          burst,
          {"GET", "/pooled", "pooled", "", "", answer_with([](const Request&) { return text_reply("pooled"); })},
          {"GET", "/file", "file", "", "",
           answer_with([file](const Request&) { return Reply{200, {}, "text/plain", {}, File{file, "tag"}}; })},
          {"GET", "/large", "large", "", "",
           answer_with([](const Request&) { return text_reply(std::string(large, 'x')); })},
          {"POST", "/echo", "echo", "", "", answer_with([](const Request& r) { return text_reply(r.body); }), false,
           false, most_body},
          {"PUT", "/slow", "slow", "", "", UploadHandler([&disk](const Request&) {
             return Upload{[&disk](std::string_view) { return disk.wait(), true; },
                           [](const Responder& r) { r.answer(text_reply("stored")); }};
           })},
          {"PUT", "/abandoned", "abandoned", "", "", UploadHandler([&disk](const Request&) {
             const std::shared_ptr<int> partial(new int, [&disk](const int* bytes) {
               delete bytes;
               ++disk.abandoned;
               disk.wait();
             });
             return Upload{[partial](std::string_view) { return true; },
                           [](const Responder& r) { r.answer(text_reply("stored")); }};
           })}};
}

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"; }
std::string with_length(const std::string& line, std::size_t length) {
  return line + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

int status_of(Client& client) {
  const auto head = client.take_until("\r\n\r\n");
  return head && head->starts_with("HTTP/1.1 ") ? std::stoi(head->substr(9, 3)) : 0;
}
int status_of(const Address& address, const std::string& request) {
  Client client(address);
  (void)client.send(request);
  return status_of(client);
}

class Fixture {
 public:
  explicit Fixture(const Bounds& bounds = {}, Transport transport = any_transport())
      : server(transport, routes(disk, folder / "file"), bounds) {
    std::ofstream(folder / "file") << "file";
  }
  // Another address of this machine.
  [[nodiscard]] Address from(std::uint32_t host) const {
    Address address = server.address;
    address.from = INADDR_LOOPBACK + host;
    return address;
  }
  Disk disk;
  const test::TemporaryFolder folder;
  const test::TransportServer server;
};

}  // namespace

TEST_CASE("uploads to a disk that does not answer leave threads for everything else") {
  Fixture fixture;
  std::vector<std::unique_ptr<Client>> uploads;
  for (std::size_t i = 0; i < 2 * Bounds{}.pool_threads; ++i) {
    uploads.push_back(std::make_unique<Client>(fixture.server.address));
    REQUIRE(uploads.back()->send(with_length("PUT /slow", 1) + "x"));
  }
  CHECK(soon([&] { return fixture.disk.waiting >= static_cast<int>(Pool::part_of(Bounds{}.pool_threads)); }));
  CHECK(status_of(fixture.server.address, get("/quick")) == 200);
  CHECK(status_of(fixture.server.address, get("/pooled")) == 200);
  CHECK(status_of(fixture.server.address, get("/file")) == 200);
  fixture.disk.answers.count_down();
  for (const auto& upload : uploads) CHECK(status_of(*upload) == 200);
}

TEST_CASE("a lane takes its part of the pool at most, and all work is done in the end") {
  Pool pool(8);
  std::latch go{1};
  std::atomic<int> files{0};
  std::atomic<int> uploads{0};
  std::atomic<int> handled{0};
  for (int i = 0; i < 20; ++i) {
    pool.run([&] { ++files, go.wait(); }, Lane::files);
    pool.run([&] { ++uploads, go.wait(); }, Lane::uploads);
  }
  for (int i = 0; i < 20; ++i) pool.run([&] { ++handled; });
  const bool apart = soon([&] { return handled == 20 && files == 3 && uploads == 3; });
  go.count_down();
  pool.stop();
  CHECK(apart);
  CHECK(files == 20);
  CHECK(uploads == 20);
}

TEST_CASE("removing what an abandoned upload has left may wait, and nobody waits for it") {
  Fixture fixture;
  {
    const Client client(fixture.server.address);
    REQUIRE(client.send(with_length("PUT /abandoned", 1000) + "part"));
  }
  CHECK(soon([&] { return fixture.disk.abandoned == 1; }));
  CHECK(status_of(fixture.server.address, get("/quick")) == 200);
  CHECK(status_of(fixture.server.address, get("/pooled")) == 200);
  fixture.disk.answers.count_down();
}

TEST_CASE("answers that nobody reads have a bound together, and files and streams count") {
  Bounds bounds;
  bounds.all_replies = large;
  const Fixture fixture(bounds);
  const Address& address = fixture.server.address;
  Client first(address);
  REQUIRE(first.send(get("/large")));
  REQUIRE(status_of(first) == 200);
  CHECK(status_of(address, get("/large")) == 503);
  CHECK(status_of(address, get("/pooled")) == 200);
  REQUIRE(first.take(large));
  Client second(address);
  REQUIRE(second.send(get("/large")));
  CHECK(status_of(second) == 200);
}

TEST_CASE("beyond the bound of all answers a file is refused, and a stream that is behind is cut") {
  Bounds bounds;
  bounds.all_replies = 1;
  const Fixture fixture(bounds);
  const Address& address = fixture.server.address;
  Client burst(address);
  REQUIRE(burst.send(get("/burst")));
  REQUIRE(burst.take_until("10000\r\n"));
  CHECK(burst.take(64 * 1024 + 2));  // it has the bound for itself
  Client first(address);
  REQUIRE(first.send(get("/large")));
  REQUIRE(status_of(first) == 200);
  CHECK(status_of(address, get("/file")) == 503);
  CHECK(status_of(address, get("/pooled")) == 200);  // small
  Client cut(address);
  REQUIRE(cut.send(get("/burst")));
  CHECK_FALSE(cut.read_all().ends_with("0\r\n\r\n"));
}

TEST_CASE("one address cannot take the room of all for answers") {
  Bounds bounds;
  bounds.limit_loopback = true;
  bounds.replies_a_peer = large;
  const Fixture fixture(bounds);
  Client first(fixture.from(1));
  REQUIRE(first.send(get("/large")));
  REQUIRE(status_of(first) == 200);
  CHECK(status_of(fixture.from(1), get("/large")) == 503);
  CHECK(status_of(fixture.from(2), get("/large")) == 200);
}

TEST_CASE("one address cannot take all places for bodies, nor their memory") {
  Bounds bounds;
  bounds.limit_loopback = true;
  bounds.body_readers_a_peer = 2;
  bounds.bodies_a_peer = 100;
  const Fixture fixture(bounds);
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 2; ++i) {
    slow.push_back(std::make_unique<Client>(fixture.from(1)));
    REQUIRE(slow.back()->send(with_length("POST /echo", 50) + "begin"));  // the rest does not come
    REQUIRE(status_of(fixture.from(1), get("/quick")) == 200);
  }
  CHECK(status_of(fixture.from(1), with_length("POST /echo", 1) + "x") == 503);
  CHECK(status_of(fixture.from(2), with_length("POST /echo", 1) + "x") == 200);
  CHECK(status_of(fixture.from(2), with_length("POST /echo", 101) + std::string(101, 'x')) == 503);
  slow.pop_back();
  CHECK(soon([&] { return status_of(fixture.from(1), with_length("POST /echo", 1) + "x") == 200; }));
}

TEST_CASE("a body of an address that is full takes the place of the latest one of this address only") {
  Bounds bounds;
  bounds.limit_loopback = true;
  bounds.body_readers_a_peer = 1;
  bounds.late_body = std::chrono::milliseconds(1);
  const Fixture fixture(bounds);
  Client other(fixture.from(2));
  REQUIRE(other.send(with_length("POST /echo", 5) + "h"));
  REQUIRE(status_of(fixture.from(2), get("/quick")) == 200);
  Client slow(fixture.from(1));
  REQUIRE(slow.send(with_length("POST /echo", 5) + "h"));
  CHECK(soon([&] { return status_of(fixture.from(1), with_length("POST /echo", 1) + "x") == 200; }));
  CHECK(status_of(slow) == 408);
  REQUIRE(other.send("ello"));
  CHECK(status_of(other) == 200);
}
