// TLS by OpenSSL on a non-blocking socket. After reload(), new connections use the renewed certificate.
#pragma once

#include <memory>
#include <string>

#include "common/core/result.hpp"
#include "common/http_server/link.hpp"

namespace edgefleet::http_server {

enum class ClientCertificate { not_asked, asked, required };  // asked: verified if the client sends one

struct TlsFiles {
  std::string certificate;  // PEM, with its chain
  std::string key;          // PEM
  std::string client_ca;    // PEM of the CA of client certificates; required unless not_asked
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

  // Reads the files again. On an error the files loaded before stay in use.
  Status reload();
  std::unique_ptr<Link> link(int socket);  // nullptr: out of memory

 private:
  struct Context;
  Tls(TlsFiles files, ClientCertificate client);

  const TlsFiles files_;
  const ClientCertificate client_;
  std::unique_ptr<Context> context_;
};

}  // namespace edgefleet::http_server
