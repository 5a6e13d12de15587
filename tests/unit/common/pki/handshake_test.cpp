// The certificates in TLS between a client and a server, as broker, coordinator and agents use them.
#include <openssl/ssl.h>

#include <string>

#include "common/pki/authority.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/common/pki/foreign.hpp"
#include "tests/unit/common/pki/verifier.hpp"

using namespace edgefleet;
using namespace edgefleet::pki;
using namespace edgefleet::pki::test;

namespace {

using OwnedContext = Owned<SSL_CTX, SSL_CTX_free>;
using OwnedTls = Owned<SSL, SSL_free>;

struct Side {
  Key key = *Key::make();
  const Certificate* certificate = nullptr;  // nullptr: none
};

OwnedContext context_of(const SSL_METHOD* method, const Side& side, const Authority& ca, const std::string& crl) {
  OwnedContext context(SSL_CTX_new(method));
  X509_STORE* store = SSL_CTX_get_cert_store(context.get());
  must(X509_STORE_add_cert(store, ca.certificate().handle()) == 1);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  if (!crl.empty()) {
    add_crl(store, crl);
    must(X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1);
  }
  if (side.certificate == nullptr) return context;
  must(SSL_CTX_use_certificate(context.get(), side.certificate->handle()) == 1);
  must(SSL_CTX_use_PrivateKey(context.get(), side.key.handle()) == 1);
  return context;
}

// Whether both sides accept each other; the client asks for `host`.
bool meet(const Authority& ca, const Side& server, const Side& client, const std::string& host,
          const std::string& crl = "") {
  const auto server_context = context_of(TLS_server_method(), server, ca, crl);
  const auto client_context = context_of(TLS_client_method(), client, ca, "");
  const OwnedTls at_server(SSL_new(server_context.get()));
  const OwnedTls at_client(SSL_new(client_context.get()));
  must(SSL_set1_host(at_client.get(), host.c_str()) == 1);
  BIO* one = nullptr;
  BIO* other = nullptr;
  must(BIO_new_bio_pair(&one, 0, &other, 0) == 1);
  SSL_set_bio(at_server.get(), one, one);
  SSL_set_bio(at_client.get(), other, other);
  SSL_set_accept_state(at_server.get());
  SSL_set_connect_state(at_client.get());
  const Errors errors;
  for (int turn = 0; turn < 10; ++turn) {
    SSL_do_handshake(at_client.get());
    SSL_do_handshake(at_server.get());
  }
  return SSL_is_init_finished(at_server.get()) == 1 && SSL_is_init_finished(at_client.get()) == 1;
}

}  // namespace

TEST_CASE("an agent and a server of one fleet meet over TLS, and an agent that was revoked does not") {
  const auto ca = authority_for();
  const auto other = authority_for();
  Side server;
  Side client;
  const auto of_server = *ca.issue_server(server.key.public_key(), {"pi.local", "192.168.1.5"}, first_date, last_date);
  const auto of_client = *ca.issue_agent(client.key.public_key(), agent("pi-1"), last_date);
  server.certificate = &of_server;
  client.certificate = &of_client;
  const auto none = *ca.crl(1, {});
  CHECK(meet(ca, server, client, "pi.local", none));
  CHECK_FALSE(meet(ca, server, client, "other.local", none));
  CHECK_FALSE(meet(ca, server, client, "pi.local", *ca.crl(2, {{of_client.serial(), 1'700'000'000}})));
  CHECK_FALSE(meet(ca, server, Side{}, "pi.local", none));

  SECTION("a certificate for clients is none for servers, and the other way round") {
    CHECK_FALSE(meet(ca, client, client, "pi-1", none));
    CHECK_FALSE(meet(ca, server, server, "pi.local", none));
  }
  SECTION("a certificate of another fleet is refused") {
    const auto foreign = *other.issue_agent(client.key.public_key(), agent("pi-1"), last_date);
    client.certificate = &foreign;
    CHECK_FALSE(meet(ca, server, client, "pi.local", none));
  }
  SECTION("a certificate that has ended is refused") {
    const auto ended = *ca.issue_agent(client.key.public_key(), agent("pi-1"), 1'700'000'000);
    client.certificate = &ended;
    CHECK_FALSE(meet(ca, server, client, "pi.local", none));
  }
}
