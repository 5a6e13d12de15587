// What differs under TLS: certificates, the handshake, records, and how a connection ends.
#include "common/http_server/tls.hpp"

#include <atomic>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "tests/unit/common/http_server/transports.hpp"

using namespace edgefleet;
using namespace edgefleet::http_server;
using namespace std::chrono_literals;
using test::Address;
using test::soon;
using Client = test::SocketClient;

namespace {

Reply text_reply(const std::string& text) { return {200, text, "text/plain", {}, {}}; }

struct Kept {
  std::mutex mutex;
  std::vector<Responder> responders;
  std::atomic<int> gone{0};
  std::atomic<int> arrived{0};
};

std::vector<Route> routes(Kept& kept) {
  Route quick{"GET", "/quick", "quick", "", "", answer_with([](const Request&) { return text_reply("quick"); })};
  quick.quick = true;
  Route members{"GET", "/members", "members", "", "", answer_with([](const Request&) { return text_reply("in"); })};
  members.needs_certificate = true;
  return {quick,
          members,
          {"GET", "/who", "who", "", "", answer_with([](const Request& request) {
             return text_reply(request.peer.certificate.empty() ? "nobody" : "known");
           })},
          {"POST", "/echo", "echo", "", "", answer_with([](const Request& r) { return text_reply(r.body); }), false,
           false, most_body},
          {"PUT", "/upload", "upload", "", "", UploadHandler([](const Request&) {
             auto bytes = std::make_shared<std::size_t>(0);
             return Upload{[bytes](std::string_view piece) { return *bytes += piece.size(), true; },
                           [bytes](const Responder& r) { r.answer(text_reply(std::to_string(*bytes))); }};
           })},
          {"GET", "/kept", "kept", "", "", Handler([&kept](const Request&, const Responder& responder) {
             responder.on_gone([&kept] { ++kept.gone; });
             const std::lock_guard lock(kept.mutex);
             kept.responders.push_back(responder);
             ++kept.arrived;
           })}};
}

class Fixture {
 public:
  explicit Fixture(std::shared_ptr<Tls> tls = test::load_tls(), const Bounds& bounds = {})
      : loopback(routes(kept), bounds, std::move(tls)) {}
  ~Fixture() {
    const std::lock_guard lock(kept.mutex);
    kept.responders.clear();
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;
  Fixture(Fixture&&) = delete;
  Fixture& operator=(Fixture&&) = delete;

  [[nodiscard]] Address address(test::TlsOptions options = {}) const {
    if (options.server_ca.empty()) options.server_ca = test::certificates().authority.file();
    return test::tls_address(loopback.port, options);
  }
  Kept kept;
  test::LoopbackServer loopback;
};

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"; }
int status_of(const std::string& reply) { return reply.starts_with("HTTP/1.1 ") ? std::stoi(reply.substr(9, 3)) : 0; }

std::string ask(Client& client, const std::string& request) {
  (void)client.send(request);
  const auto head = client.take_until("\r\n\r\n");
  if (!head || status_of(*head) != 200) return head ? head->substr(9, 3) : "no answer";
  const auto length = head->find("Content-Length: ");
  return client.take(std::stoul(head->substr(length + 16))).value_or("cut");
}

bool answers(const Address& address) {
  Client client(address);
  return ask(client, get("/quick")) == "quick";
}

SSL* ssl_of(const Client& client) { return dynamic_cast<test::TlsCipher&>(*client.cipher()).ssl(); }

long serial_of(const Client& client) {  // NOLINT: OpenSSL's type
  X509* certificate = SSL_get1_peer_certificate(ssl_of(client));
  const auto serial = certificate == nullptr ? -1 : ASN1_INTEGER_get(X509_get0_serialNumber(certificate));
  X509_free(certificate);
  return serial;
}

// Messages that have no text, only keys; each costs the server some work.
std::string key_updates(const Client& client, int count) {
  for (int i = 0; i < count; ++i) {
    SSL_key_update(ssl_of(client), SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(ssl_of(client));
  }
  return client.cipher()->pending();
}

}  // namespace

TEST_CASE("a listener asks for client certificates as it was told to, and takes only those of its CA that are valid") {
  using enum ClientCertificate;
  static test::Authority other(test::certificates().folder.path(), "other");
  static auto& authority = test::certificates().authority;
  struct Row {
    const char* name;
    test::CertificateFiles own;
    std::string not_asked, asked, required;
  };
  const std::string nothing = "no answer";
  // clang-format off
  const std::vector<Row> rows{
      {"none",             {},                                         "nobody", "nobody", nothing},
      {"of our CA",        authority.issue("member"),                  "nobody", "known",  "known"},
      {"of another CA",    other.issue("stranger"),                    "nobody", nothing,  nothing},
      {"expired",          authority.issue("late", -60),               "nobody", nothing,  nothing},
  };
  // clang-format on
  const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
  for (const auto kind : {not_asked, asked, required}) {
    const Fixture fixture(test::load_tls(kind));
    for (const Row& row : rows) {
      INFO(row.name << ", kind " << static_cast<int>(kind) << ", version " << std::hex << version);
      const std::string& expected = kind == not_asked ? row.not_asked : kind == asked ? row.asked : row.required;
      Client client(fixture.address({{}, row.own, version}));
      CHECK(ask(client, get("/who")) == expected);
      Client second(fixture.address({{}, row.own, version}));
      CHECK(ask(second, get("/members")) == (expected == "known" ? "in" : expected == "nobody" ? "403" : nothing));
    }
    CHECK(soon([&] { return fixture.loopback.server.connections() <= 2 * rows.size(); }));
  }
}

TEST_CASE("TLS 1.1 is refused") {
  const Fixture fixture;
  Client client(fixture.address({{}, {}, TLS1_1_VERSION}));
  CHECK(ask(client, get("/quick")) == "no answer");
}

TEST_CASE("a handshake that is none ends, and harms nobody") {
  Bounds bounds;
  bounds.handshake = 100ms;
  const Fixture fixture(test::load_tls(), bounds);
  const Time began = monotonic_now();
  Client stalls(fixture.loopback.port);
  Client half(fixture.loopback.port);
  REQUIRE(half.send(test::TlsCipher({test::certificates().authority.file()}).start().substr(0, 100)));
  Client garbage(fixture.loopback.port);
  REQUIRE(garbage.send(std::string(100'000, '\x16')));
  Client plain(fixture.loopback.port);
  REQUIRE(plain.send(get("/quick")));
  CHECK(answers(fixture.address()));
  for (Client* client : {&stalls, &half, &garbage, &plain}) CHECK(status_of(client->read_all()) == 0);
  CHECK(monotonic_now() - began < 5s);  // the bound, and the interval of the check
  CHECK(answers(fixture.address()));
}

TEST_CASE("a certificate that is replaced on disk is served to new connections, and a broken one is not") {
  const test::TemporaryFolder folder;
  test::Authority authority(folder.path(), "own");
  const auto files = authority.issue("server");
  std::mutex mutex;
  std::vector<Status> reloads;
  const auto last_reload = [&] {
    const std::lock_guard lock(mutex);
    return reloads.empty() ? std::string("none") : reloads.back() ? "renewed" : reloads.back().error().message;
  };
  auto tls = Tls::load({files.certificate, files.key, {}}, ClientCertificate::not_asked, [&](const Status& reloaded) {
    const std::lock_guard lock(mutex);
    reloads.push_back(reloaded);
  });
  REQUIRE(tls);
  Bounds bounds;
  bounds.certificate_check = 1ms;
  const Fixture fixture(*tls, bounds);
  const Address address = fixture.address({authority.file()});
  const auto served = [&] { return serial_of(Client(address)); };
  Client old(address);
  CHECK(ask(old, get("/quick")) == "quick");
  const auto first = serial_of(old);
  authority.issue("server");
  CHECK(soon([&] { return served() == first + 1; }));
  CHECK(soon([&] { return last_reload() == "renewed"; }));
  CHECK(ask(old, get("/quick")) == "quick");

  std::ofstream(files.certificate) << "not a certificate";
  CHECK(soon([&] { return last_reload().find(files.certificate) != std::string::npos; }));
  CHECK(served() == first + 1);
  CHECK(ask(old, get("/quick")) == "quick");
  std::filesystem::remove(files.certificate);
  CHECK(soon([&] { return last_reload().find("No such file") != std::string::npos; }));
  CHECK(served() == first + 1);
  authority.issue("server");
  CHECK(soon([&] { return served() == first + 2; }));
  const std::lock_guard lock(mutex);
  CHECK(reloads.size() <= 5);  // a line for each change, not for each look
}

TEST_CASE("files that cannot be used are named when they are loaded") {
  const test::TemporaryFolder folder;
  test::Authority authority(folder.path(), "own");
  const auto files = authority.issue("server");
  const auto others = authority.issue("other");
  const auto error_of = [](const TlsFiles& with, ClientCertificate client = ClientCertificate::not_asked) {
    const auto loaded = Tls::load(with, client);
    return loaded ? std::string() : loaded.error().message;
  };
  CHECK(error_of({files.certificate, files.key, {}}).empty());
  CHECK(error_of({folder / "missing", files.key, {}}).find("missing: No such file") != std::string::npos);
  CHECK(error_of({files.certificate, others.key, {}}).find("key " + others.key) != std::string::npos);
  CHECK(error_of({files.certificate, files.key, {}}, ClientCertificate::asked).find("CA of the clients") !=
        std::string::npos);
  test::Authority::write_key_with_passphrase(files.key);
  CHECK(error_of({files.certificate, files.key, {}}).find("has a passphrase") != std::string::npos);
}

TEST_CASE("many requests in one record, and one in many, are answered") {
  const Fixture fixture;
  Client client(fixture.address());
  std::string all;
  for (int i = 0; i < 300; ++i) all += get("/quick");
  REQUIRE(all.size() < 16 * 1024);
  for (int i = 0; i < 300; ++i) REQUIRE(ask(client, i == 0 ? all : "") == "quick");
  const std::string request = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
  for (const char c : request.substr(0, request.size() - 1)) REQUIRE(client.send(std::string(1, c)));
  CHECK(ask(client, "o") == "hello");
}

TEST_CASE("large bodies are whole") {
  const auto transport = test::any_transport();
  Kept kept;
  const test::TransportServer server(transport, routes(kept));
  Client client(server.address);
  const std::string body(8'000'000, 'x');
  const std::string head = " HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n";
  CHECK(ask(client, "PUT /upload" + head + body) == "8000000");
  CHECK(ask(client, "POST /echo" + head + body) == body);
}

TEST_CASE("requests before an end without notice are answered, and a body that is cut by it is not taken") {
  const Fixture fixture;
  Client client(fixture.address());
  REQUIRE(client.send(get("/quick")));
  client.end_without_notice();
  CHECK(status_of(client.read_all()) == 200);
  Client cut(fixture.address());
  REQUIRE(cut.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello"));
  cut.end_without_notice();
  CHECK(status_of(cut.read_all()) == 400);
}

TEST_CASE("a client that has gone is noticed within a second while its handler waits, however it went") {
  Fixture fixture;
  const auto leave = [&](const char* how_named, auto how) {
    INFO(how_named);
    const int before = fixture.kept.gone;
    const int arrived = fixture.kept.arrived;
    auto client = std::make_unique<Client>(fixture.address());
    REQUIRE(client->send(get("/kept")));
    REQUIRE(soon([&] { return fixture.kept.arrived > arrived; }));
    const Time began = monotonic_now();
    how(client);
    REQUIRE(soon([&] { return fixture.kept.gone > before; }));
    CHECK(monotonic_now() - began < 1s);
  };
  using Owned = std::unique_ptr<Client>;
  leave("closed", [](Owned& client) { client.reset(); });
  leave("ended", [](Owned& client) { client->end(); });
  leave("ended without notice", [](Owned& client) { client->end_without_notice(); });
  leave("notice alone", [](Owned& client) { REQUIRE(client->send_bytes(client->cipher()->close())); });
  leave("not TLS any longer", [](Owned& client) { REQUIRE(client->send_bytes(std::string(100, 'x'))); });
  leave("closed while reading has paused, since enough was read ahead", [](Owned& client) {
    REQUIRE(client->send(std::string(100'000, 'x')));
    client.reset();
  });
}

TEST_CASE("an answer to a client that has gone raises no signal") {
  Fixture fixture;
  {
    const Client client(fixture.address());
    REQUIRE(client.send(get("/kept")));
    REQUIRE(soon([&] { return fixture.kept.arrived == 1; }));
    client.end();
    REQUIRE(soon([&] { return fixture.kept.gone == 1; }));
  }
  {
    const std::lock_guard lock(fixture.kept.mutex);
    fixture.kept.responders.front().answer(text_reply(std::string(5'000'000, 'x')));
  }
  CHECK(soon([&] { return fixture.loopback.server.connections() == 0; }));
}

TEST_CASE("a client that sends nothing but key updates does not keep others waiting") {
  const Fixture fixture;
  Client busy(fixture.address());
  const std::string flood = key_updates(busy, 50'000);
  std::atomic<bool> begun{false};
  const auto flooded = std::async(std::launch::async, [&] {
    (void)busy.send_bytes(std::string_view(flood).substr(0, 100'000));
    begun = true;
    (void)busy.send_bytes(std::string_view(flood).substr(100'000));
    return ask(busy, get("/quick"));
  });
  REQUIRE(soon([&] { return begun.load(); }));
  Client other(fixture.address());
  int answered = 0;
  while (flooded.wait_for(0s) == std::future_status::timeout && answered < 20) {
    REQUIRE(ask(other, get("/quick")) == "quick");
    ++answered;
  }
  CHECK(answered == 20);
}

TEST_CASE("a notice of the end that finds no room is sent later") {
  int pair[2];  // NOLINT: its own shape
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  const auto link = test::load_tls()->link(pair[0]);
  test::TlsCipher client({test::certificates().authority.file()});
  std::string bytes = client.start();
  std::string piece(64 * 1024, '\0');
  const auto receive = [&] {
    const auto got = recv(pair[1], piece.data(), piece.size(), 0);
    return piece.substr(0, got > 0 ? static_cast<std::size_t>(got) : 0);
  };
  while (link->handshake().state != IoState::done) {
    if (!bytes.empty()) REQUIRE(send(pair[1], bytes.data(), bytes.size(), 0) > 0);
    (void)client.put(receive());
    bytes = client.pending();
  }
  std::size_t filled = 0;
  for (ssize_t more = 0; (more = send(pair[0], piece.data(), 1024, 0)) > 0;) filled += static_cast<std::size_t>(more);
  CHECK(link->end_writing().state == IoState::want_write);
  std::string all;
  while (all.size() < filled) all += receive();
  CHECK(link->end_writing().state == IoState::done);
  CHECK_FALSE(receive().empty());
  ::close(pair[0]);
  ::close(pair[1]);
}
