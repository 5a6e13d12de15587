// TLS by OpenSSL on a non-blocking socket. A certificate that is renewed counts for new connections from reload() on.
#pragma once

#include <memory>
#include <string>

#include "common/core/result.hpp"
#include "common/http_server/link.hpp"

namespace edgefleet::http_server {

enum class ClientCertificate { not_asked, asked, required };  // asked: verified if it comes

struct TlsFiles {
  std::string certificate;  // PEM, with its chain
  std::string key;          // PEM
  std::string client_ca;    // PEM of who signs clients' certificates; needed unless not_asked
};

// Any thread.
class Tls {
 public:
  static Result<std::shared_ptr<Tls>> load(TlsFiles files, ClientCertificate client);
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;
  Tls(Tls&&) = delete;
  Tls& operator=(Tls&&) = delete;
  ~Tls();

  // Reads the files again. On an error what was loaded before goes on.
  Status reload();
  std::unique_ptr<Link> link(int socket);  // nullptr: no memory

 private:
  struct Context;
  Tls(TlsFiles files, ClientCertificate client);

  const TlsFiles files_;
  const ClientCertificate client_;
  std::unique_ptr<Context> context_;
};

}  // namespace edgefleet::http_server
