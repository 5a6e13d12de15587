// What the suites of the server run over: TCP, or TLS on top of it.
#pragma once

#include <thread>

#include "common/system/clock.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/loopback_server.hpp"
#include "tests/support/temporary.hpp"
#include "tests/support/tls_client.hpp"

namespace edgefleet::test {

enum class Transport { plain, tls };

// Of all tests that do not need others.
struct Certificates {
  TemporaryFolder folder;
  Authority authority{folder.path(), "fleet"};
  CertificateFiles server = authority.issue("server");
};
inline Certificates& certificates() {
  static Certificates all;
  return all;
}

inline std::shared_ptr<http_server::Tls> load_tls(
    http_server::ClientCertificate client = http_server::ClientCertificate::not_asked) {
  const auto& all = certificates();
  auto tls = http_server::Tls::load({all.server.certificate, all.server.key, all.authority.file()}, client);
  if (!tls) throw std::runtime_error(tls.error().message);
  return *tls;
}

class TransportServer {
 public:
  explicit TransportServer(Transport transport, std::vector<http_server::Route> routes,
                           const http_server::Bounds& bounds = {})
      : loopback(std::move(routes), bounds, transport == Transport::tls ? load_tls() : nullptr),
        address(transport == Transport::tls ? tls_address(loopback.port, {certificates().authority.file()})
                                            : Address(loopback.port)) {}
  LoopbackServer loopback;
  const Address address;
};

// The test case runs once over each of them.
inline Transport any_transport() { return GENERATE(Transport::plain, Transport::tls); }

// False: not within ten seconds.
template <typename Condition>
bool soon(Condition condition) {
  const Time until = monotonic_now() + std::chrono::seconds(10);
  while (!condition()) {
    if (monotonic_now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace edgefleet::test
