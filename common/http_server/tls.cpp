#include "common/http_server/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <array>
#include <mutex>
#include <system_error>

#include "common/http_server/tls_link.hpp"

namespace edgefleet::http_server {
namespace {

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::shared_ptr<SSL_CTX>;

std::string last_error() {
  const auto first = ERR_peek_error();
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(first)) return std::generic_category().message(ERR_GET_REASON(first));
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? "unknown" : reason;
}

Error failed(const std::string& what, const std::string& file) {
  return Error{"TLS: cannot use the " + what + " " + file + ": " + last_error(), ErrorKind::invalid};
}

int select_http_1_1(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in,
                    unsigned int in_length, void*) {
  static const unsigned char ours[] = "\x08http/1.1";  // NOLINT: the wire format of ALPN
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_length, ours, sizeof ours - 1, in, in_length);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

// A resumed session would be accepted without checking its certificate again.
void allow_no_resumption(SSL_CTX* context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
}

// Without this, OpenSSL asks for the passphrase on the terminal, and waits.
int refuse_passphrase(char*, int, int, void* asked) {
  if (asked != nullptr) *static_cast<bool*>(asked) = true;
  return -1;
}

Status load_key(SSL_CTX* context, const std::string& file) {
  bool encrypted = false;
  SSL_CTX_set_default_passwd_cb_userdata(context, &encrypted);
  const bool loaded = SSL_CTX_use_PrivateKey_file(context, file.c_str(), SSL_FILETYPE_PEM) == 1;
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  if (encrypted) return invalid("TLS: the key " + file + " has a passphrase; store it without one");
  if (!loaded) return failed("key", file);
  if (SSL_CTX_check_private_key(context) == 1) return success();
  return failed("key (it does not belong to the certificate)", file);
}

Result<SslContext> make_context(const TlsFiles& files, ClientCertificate client) {
  ERR_clear_error();
  const SslContext context(SSL_CTX_new(TLS_server_method()), Free{});
  if (!context) return Error{"TLS: cannot create a context: " + last_error()};
  SSL_CTX* ctx = context.get();
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  // Requests have their own end: those that a client sent before it closed without notice are whole.
  SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
  // One record for each call: otherwise a client that sends nothing but key updates would hold the server's thread.
  SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
  // An idle connection releases its 34 KiB of buffers; the data of a write may move between two tries.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_alpn_select_cb(ctx, select_http_1_1, nullptr);
  allow_no_resumption(ctx);
  SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
  if (SSL_CTX_use_certificate_chain_file(ctx, files.certificate.c_str()) != 1) {
    return failed("certificate", files.certificate);
  }
  if (auto loaded = load_key(ctx, files.key); !loaded) return loaded.error();
  if (client == ClientCertificate::not_asked) return context;
  if (SSL_CTX_load_verify_locations(ctx, files.client_ca.c_str(), nullptr) != 1) {
    return failed("CA of the clients", files.client_ca);
  }
  SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(files.client_ca.c_str()));
  const int required = client == ClientCertificate::required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | required, nullptr);
  return context;
}

// What changes when a file is replaced or written.
struct Signature {
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t changed_s = 0;
  std::int64_t changed_ns = 0;
  bool operator==(const Signature&) const = default;
};
using Signatures = std::array<Signature, 3>;

Signature signature_of(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return {};
  return {status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

Signatures signatures_of(const TlsFiles& files) {
  return {signature_of(files.certificate), signature_of(files.key), signature_of(files.client_ca)};
}

}  // namespace

struct Tls::Context {
  std::mutex mutex;
  SslContext present;
  std::mutex refreshing;  // guards the rest
  Signatures tried;       // of the files that were read last
  Signatures seen;
};

Tls::Tls(TlsFiles files, ClientCertificate client, OnReload on_reload)
    : files_(std::move(files)),
      client_(client),
      on_reload_(std::move(on_reload)),
      context_(std::make_unique<Context>()) {}
Tls::~Tls() = default;

Result<std::shared_ptr<Tls>> Tls::load(TlsFiles files, ClientCertificate client, OnReload on_reload) {
  std::shared_ptr<Tls> tls(new Tls(std::move(files), client, std::move(on_reload)));  // NOLINT: a private constructor
  tls->context_->tried = tls->context_->seen = signatures_of(tls->files_);
  if (auto loaded = tls->reload(); !loaded) return loaded.error();
  return tls;
}

Status Tls::reload() {
  auto made = make_context(files_, client_);
  if (!made) return made.error();
  const std::lock_guard lock(context_->mutex);
  context_->present = std::move(*made);
  return success();
}

// Certificate and key are replaced one after the other: they are read when two looks have found the same.
void Tls::refresh() {
  const std::lock_guard lock(context_->refreshing);
  const Signatures now = signatures_of(files_);
  const bool settled = std::exchange(context_->seen, now) == now;
  if (!settled || now == context_->tried) return;
  context_->tried = now;
  const Status reloaded = reload();
  if (on_reload_) on_reload_(reloaded);
}

std::unique_ptr<Link> Tls::link(int socket) {
  const std::lock_guard lock(context_->mutex);
  return tls_link(context_->present.get(), socket);
}

}  // namespace edgefleet::http_server
