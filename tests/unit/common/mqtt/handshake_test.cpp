#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "common/mqtt/reach.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace std::chrono_literals;

namespace {

struct Listener {
  Listener() : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);  // NOLINT: the system's type
    if (::bind(fd, raw, size) != 0 || ::listen(fd, 8) != 0) throw std::runtime_error("no port to listen on");
    ::getsockname(fd, raw, &size);
    port = ntohs(address.sin_port);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  Listener(Listener&&) = delete;
  Listener& operator=(Listener&&) = delete;
  ~Listener() { ::close(fd); }

  const int fd;
  int port = 0;
};

// Answers one connection after another as a broker does, up to the MQTT in it.
class TlsServer {
 public:
  // `ca`: of the clients; empty: it asks for no certificate. `version`: the only one of TLS; 0: any.
  TlsServer(const test::CertificateFiles& own, const std::string& ca, int version = 0)
      : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
    SSL_CTX_use_certificate_file(context_.get(), own.certificate.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context_.get(), own.key.c_str(), SSL_FILETYPE_PEM);
    if (version != 0) {
      SSL_CTX_set_min_proto_version(context_.get(), version);
      SSL_CTX_set_max_proto_version(context_.get(), version);
    }
    if (!ca.empty()) {
      SSL_CTX_load_verify_file(context_.get(), ca.c_str());
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) answer_one();
    });
  }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;
  TlsServer(TlsServer&&) = delete;
  TlsServer& operator=(TlsServer&&) = delete;
  ~TlsServer() = default;
  [[nodiscard]] std::string url(const std::string& host = "127.0.0.1") const {
    return "mqtts://" + host + ":" + std::to_string(listener_.port);
  }

 private:
  void answer_one() {
    pollfd waiting{listener_.fd, POLLIN, 0};
    if (::poll(&waiting, 1, 20) != 1) return;
    const int peer = ::accept(listener_.fd, nullptr, nullptr);
    const std::unique_ptr<SSL, decltype(&SSL_free)> session(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(session.get(), peer);
    char byte = 0;
    if (SSL_accept(session.get()) == 1) SSL_read(session.get(), &byte, 1);
    ::close(peer);
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  Listener listener_;
  std::jthread thread_;
};

struct Fleet {
  Fleet() { std::signal(SIGPIPE, SIG_IGN); }
  test::TemporaryFolder folder;
  test::Authority authority{folder.path(), "fleet"};
  test::Authority other{folder.path(), "other"};
  test::CertificateFiles broker = authority.issue("broker");
  test::CertificateFiles agent = authority.issue("pi-1");

  [[nodiscard]] mqtt::TlsFiles files() const { return {authority.file(), agent.certificate, agent.key}; }
  // Also that it takes no longer than promised.
  [[nodiscard]] static std::string why(const std::string& url, const mqtt::TlsFiles& files) {
    const auto began = std::chrono::steady_clock::now();
    auto text = mqtt::why_unusable(url, files, 500ms);
    CHECK(std::chrono::steady_clock::now() - began < 5s);
    CHECK(text.size() < 1000);
    return text;
  }
};

bool has(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a broker that can be used is found to be one, as far as its TLS goes") {
  const Fleet fleet;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsServer broker(fleet.broker, fleet.authority.file(), version);
    CHECK(has(Fleet::why(broker.url(), fleet.files()), "there is a TLS connection"));
  }
}

TEST_CASE("a broker of another authority, of another name, and one whose certificate has ended are told apart") {
  Fleet fleet;
  const TlsServer broker(fleet.broker, fleet.authority.file());
  auto files = fleet.files();
  CHECK(has(Fleet::why(broker.url("localhost"), files), "certificate is for 127.0.0.1, not for localhost"));
  files.ca = fleet.other.file();
  CHECK(has(Fleet::why(broker.url(), files), "is not of the authority in " + fleet.other.file()));
  files.ca.clear();
  CHECK(has(Fleet::why(broker.url(), files), "of an authority that this system knows"));

  const TlsServer old(fleet.authority.issue("old", -test::Authority::day), fleet.authority.file());
  const auto ended = Fleet::why(old.url(), fleet.files());
  CHECK(has(ended, "ended on 20"));
  CHECK(has(ended, "by the clock of this machine it is 20"));
}

TEST_CASE("what a broker has against our certificate is named, in both versions of TLS") {
  Fleet fleet;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsServer broker(fleet.broker, fleet.authority.file(), version);
    CHECK(has(Fleet::why(broker.url(), {fleet.authority.file(), {}, {}}), "this program has none"));

    const auto foreign = fleet.other.issue("foreign");
    const auto unknown = Fleet::why(broker.url(), {fleet.authority.file(), foreign.certificate, foreign.key});
    CHECK(has(unknown, "refuses the certificate in " + foreign.certificate + " (it ends on 20"));
    CHECK(has(unknown, "not of the authority"));

    const auto old = fleet.authority.issue("pi-old", -test::Authority::day);
    CHECK(has(Fleet::why(broker.url(), {fleet.authority.file(), old.certificate, old.key}),
              "by the broker's clock it has ended"));
  }
}

TEST_CASE("files that cannot be used are named before anybody is asked") {
  const Fleet fleet;
  const TlsServer broker(fleet.broker, fleet.authority.file());
  const auto rubbish = fleet.folder / "rubbish";
  std::ofstream(rubbish) << "-----BEGIN CERTIFICATE-----\nAAAA\n";
  CHECK(has(Fleet::why(broker.url(), {rubbish, {}, {}}), rubbish + " is not a PEM file"));
  CHECK(has(Fleet::why(broker.url(), {"/does/not/exist", {}, {}}), "/does/not/exist is not"));
  CHECK(has(Fleet::why(broker.url(), {fleet.authority.file(), rubbish, fleet.agent.key}),
            rubbish + " is not a PEM file"));
  CHECK(has(Fleet::why(broker.url(), {fleet.authority.file(), fleet.agent.certificate, fleet.broker.key}),
            fleet.broker.key + " is not the key of the certificate in"));
}

TEST_CASE("a server without TLS, one that closes the connection, and one that says nothing are told apart") {
  const Fleet fleet;
  const std::vector<std::pair<std::string, std::string>> cases{
      {"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS on this port"},
      {"", "closes the connection during the TLS handshake"},
      {"silent", "does not complete a TLS handshake"},
  };
  for (const auto& [answer, reason] : cases) {
    const Listener listener;
    const std::jthread server(
        [&](const std::string& text) {
          const int peer = ::accept(listener.fd, nullptr, nullptr);
          std::array<char, 4096> hello{};
          if (text != "silent") (void)!::read(peer, hello.data(), hello.size());
          if (text != "silent") (void)!::write(peer, text.data(), text.size());
          if (text == "silent") std::this_thread::sleep_for(1s);  // longer than the patience of the test
          ::close(peer);
        },
        answer);
    CHECK(has(Fleet::why("mqtts://127.0.0.1:" + std::to_string(listener.port), fleet.files()), reason));
  }
}
