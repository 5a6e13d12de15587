// How a client proves who it is, and how it knows its peer.
#include "common/http/client.hpp"
#include "common/http_server/server.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/loopback_server.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::http;
using http_server::ClientCertificate;

namespace {

// A server of a fleet, over TLS, that says who asks.
struct Fixture {
  test::TemporaryFolder folder;
  test::Authority authority{folder.path(), "fleet"};
  test::CertificateFiles own = authority.issue("server");
  test::LoopbackServer server{
      {{"GET", "/who", "who", {}, {}, http_server::answer_with([](const http_server::Request& request) {
          const std::string who(request.header("Authorization"));
          return http_server::Reply{
              200, who + (request.peer.certificate.empty() ? "" : " certified"), "text/plain", {}, {}};
        })}},
      {},
      *http_server::Tls::load({own.certificate, own.key, authority.file()}, ClientCertificate::asked)};

  Result<Response> who(const Credentials& credentials) const {
    return Client("https://127.0.0.1:" + std::to_string(server.port), {}, credentials).get("/who");
  }
};

}  // namespace

TEST_CASE("a key and a certificate of a client reach a server of the fleet") {
  Fixture fleet;
  CHECK(fleet.who({fleet.authority.file(), {}, {}, {}})->body.empty());
  CHECK(fleet.who({fleet.authority.file(), {}, {}, "ef_x"})->body == "Bearer ef_x");
  const auto agent = fleet.authority.issue("pi-1");
  CHECK(fleet.who({fleet.authority.file(), agent.certificate, agent.key, {}})->body == " certified");
}

TEST_CASE("a server that is not of the fleet gets no key, and the error says what it is") {
  Fixture fleet;
  const test::Authority other(fleet.folder.path(), "other");
  const auto refused = fleet.who({other.file(), {}, {}, "ef_x"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::unavailable);
  CHECK(refused.error().message.find("no certificate of this fleet") != std::string::npos);
  CHECK(refused.error().message.find("ef_x") == std::string::npos);
}

TEST_CASE("the certificate of a server is told on request, also without a question to it") {
  Fixture fleet;
  const std::string url = "https://127.0.0.1:" + std::to_string(fleet.server.port);
  Options options;
  for (const auto how : {ServerCertificate::wanted, ServerCertificate::only}) {
    options.certificate = how;
    const auto answer = Client(url, {}, {fleet.authority.file(), {}, {}, {}}).get("/who", options);
    REQUIRE(answer);
    CHECK(answer->certificate.find("-----BEGIN CERTIFICATE-----") != std::string::npos);
    CHECK((answer->status == 200) == (how == ServerCertificate::wanted));
  }
  CHECK(fleet.who({fleet.authority.file(), {}, {}, {}})->certificate.empty());
  const test::Authority other(fleet.folder.path(), "other");
  CHECK_FALSE(Client(url, {}, {other.file(), {}, {}, {}}).get("/who", options));
}

TEST_CASE("a key is never sent to another machine in the clear") {
  for (const char* url : {"http://192.0.2.1:7001", "192.0.2.1:7001", "http://127.evil.example"}) {
    const auto refused = Client(url, {}, {{}, {}, {}, "ef_x"}).get("/who");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
    CHECK(refused.error().message.find("https://") != std::string::npos);
  }
  const auto here = Client("http://127.0.0.1:1", {}, {{}, {}, {}, "ef_x"}).get("/who");
  CHECK(here.error().kind == ErrorKind::unavailable);  // it was tried
}

TEST_CASE("an unverified server may be asked, and never gets a credential") {
  Fixture fleet;
  Credentials anybody;
  anybody.unverified = true;
  CHECK(fleet.who(anybody)->body.empty());
  for (const bool key : {true, false}) {
    Credentials credentials = anybody;
    if (key) {
      credentials.bearer = "ef_x";
    } else {
      const auto agent = fleet.authority.issue("pi-1");
      credentials.certificate = agent.certificate;
      credentials.key = agent.key;
    }
    const auto refused = fleet.who(credentials);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
  }
}
