#include "common/http_server/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <mutex>

namespace edgefleet::http_server {
namespace {

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using SslContext = std::shared_ptr<SSL_CTX>;

std::string last_error() {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
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

Result<SslContext> make_context(const TlsFiles& files, ClientCertificate client) {
  ERR_clear_error();
  const SslContext context(SSL_CTX_new(TLS_server_method()), Free{});
  if (!context) return Error{"TLS: cannot create a context: " + last_error()};
  SSL_CTX* ctx = context.get();
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  // An idle connection releases its 34 KiB of buffers; the data of a write may move between two tries.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_alpn_select_cb(ctx, select_http_1_1, nullptr);
  allow_no_resumption(ctx);
  if (SSL_CTX_use_certificate_chain_file(ctx, files.certificate.c_str()) != 1) {
    return failed("certificate", files.certificate);
  }
  if (SSL_CTX_use_PrivateKey_file(ctx, files.key.c_str(), SSL_FILETYPE_PEM) != 1) return failed("key", files.key);
  if (SSL_CTX_check_private_key(ctx) != 1) return failed("key (it does not belong to the certificate)", files.key);
  if (client == ClientCertificate::not_asked) return context;
  if (SSL_CTX_load_verify_locations(ctx, files.client_ca.c_str(), nullptr) != 1) {
    return failed("CA of the clients", files.client_ca);
  }
  SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(files.client_ca.c_str()));
  const int required = client == ClientCertificate::required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | required, nullptr);
  return context;
}

class TlsLink final : public Link {
 public:
  explicit TlsLink(std::unique_ptr<SSL, Free> ssl) : ssl_(std::move(ssl)) {}

  Io handshake() override {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    return done == 1 ? Io{} : after(done);
  }

  Io read(char* into, std::size_t bytes) override {
    ERR_clear_error();
    std::size_t got = 0;
    const int done = SSL_read_ex(ssl_.get(), into, bytes, &got);
    return done == 1 ? Io{IoState::done, got} : after(done);
  }

  Io write(std::string_view bytes) override {
    ERR_clear_error();
    std::size_t sent = 0;
    const int done = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
    return done == 1 ? Io{IoState::done, sent} : after(done);
  }

  void end_writing() override {
    ERR_clear_error();
    if (!broken_) SSL_shutdown(ssl_.get());
  }

  [[nodiscard]] std::string certificate() const override {
    const std::unique_ptr<X509, Free> peer(SSL_get1_peer_certificate(ssl_.get()));
    if (!peer || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
    std::string der(static_cast<std::size_t>(i2d_X509(peer.get(), nullptr)), '\0');
    auto* out = reinterpret_cast<unsigned char*>(der.data());  // NOLINT: OpenSSL's bytes
    i2d_X509(peer.get(), &out);
    return der;
  }

 private:
  Io after(int done) {
    switch (SSL_get_error(ssl_.get(), done)) {
      case SSL_ERROR_WANT_READ:
        return {IoState::want_read, 0};
      case SSL_ERROR_WANT_WRITE:
        return {IoState::want_write, 0};
      case SSL_ERROR_ZERO_RETURN:
        return {IoState::closed, 0};
      default:
        broken_ = true;  // OpenSSL forbids a shutdown after this
        return {IoState::failed, 0};
    }
  }

  std::unique_ptr<SSL, Free> ssl_;
  bool broken_ = false;
};

}  // namespace

struct Tls::Context {
  std::mutex mutex;
  SslContext present;
};

Tls::Tls(TlsFiles files, ClientCertificate client)
    : files_(std::move(files)), client_(client), context_(std::make_unique<Context>()) {}
Tls::~Tls() = default;

Result<std::shared_ptr<Tls>> Tls::load(TlsFiles files, ClientCertificate client) {
  std::shared_ptr<Tls> tls(new Tls(std::move(files), client));  // NOLINT: a private constructor
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

std::unique_ptr<Link> Tls::link(int socket) {
  SslContext present;
  {
    const std::lock_guard lock(context_->mutex);
    present = context_->present;
  }
  std::unique_ptr<SSL, Free> ssl(SSL_new(present.get()));  // holds the context
  if (!ssl || SSL_set_fd(ssl.get(), socket) != 1) return nullptr;
  SSL_set_accept_state(ssl.get());
  return std::make_unique<TlsLink>(std::move(ssl));
}

}  // namespace edgefleet::http_server
