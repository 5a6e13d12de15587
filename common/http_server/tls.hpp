// TLS by OpenSSL on a non-blocking socket. A certificate that is replaced on disk is used for new connections.
#pragma once

#include <functional>
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
  // Called after the files were read again; after an error the certificate loaded before stays in use. For the log.
  using OnReload = std::function<void(const Status& reloaded)>;

  static Result<std::shared_ptr<Tls>> load(TlsFiles files, ClientCertificate client, OnReload on_reload = {});
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;
  Tls(Tls&&) = delete;
  Tls& operator=(Tls&&) = delete;
  ~Tls();

  // Reads the files again if they have changed, and have stopped changing between two calls. May wait for a disk.
  void refresh();
  std::unique_ptr<Link> link(int socket);  // nullptr: out of memory

 private:
  struct Context;
  Tls(TlsFiles files, ClientCertificate client, OnReload on_reload);
  Status reload();

  const TlsFiles files_;
  const ClientCertificate client_;
  const OnReload on_reload_;
  std::unique_ptr<Context> context_;
};

}  // namespace edgefleet::http_server
