// TLS for SocketClient.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tests/support/certificates.hpp"
#include "tests/support/socket_client.hpp"

namespace edgefleet::test {

struct TlsOptions {
  std::string server_ca;   // PEM
  CertificateFiles own{};  // of the client; empty: none
  int version = 0;         // TLS1_2_VERSION, TLS1_3_VERSION; 0: the highest
};

// Works on memory, so that a test decides which bytes are sent together.
class TlsCipher final : public Cipher {
 public:
  explicit TlsCipher(const TlsOptions& options) : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    bool ready = SSL_CTX_load_verify_locations(context_.get(), options.server_ca.c_str(), nullptr) == 1;
    if (!options.own.key.empty()) {
      ready =
          ready && SSL_CTX_use_certificate_file(context_.get(), options.own.certificate.c_str(), SSL_FILETYPE_PEM) == 1;
      ready = ready && SSL_CTX_use_PrivateKey_file(context_.get(), options.own.key.c_str(), SSL_FILETYPE_PEM) == 1;
    }
    if (!ready) throw std::runtime_error("the client's TLS files cannot be used");
    SSL_CTX_set_min_proto_version(context_.get(), options.version);
    SSL_CTX_set_max_proto_version(context_.get(), options.version);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_.get());
  }

  std::string start() override {
    (void)put({});
    return pending();
  }
  [[nodiscard]] bool ready() const override { return failed_ || SSL_is_init_finished(ssl_.get()) == 1; }
  [[nodiscard]] bool ended() const override { return failed_; }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

  std::string put(std::string_view received) override {
    ERR_clear_error();
    BIO_write(SSL_get_rbio(ssl_.get()), received.data(), static_cast<int>(received.size()));
    std::string text;
    char piece[16 * 1024];  // NOLINT
    int got = 0;
    while ((got = SSL_read(ssl_.get(), piece, sizeof piece)) > 0) {  // NOLINT
      text.append(piece, static_cast<std::size_t>(got));             // NOLINT
    }
    failed_ = failed_ || SSL_get_error(ssl_.get(), got) != SSL_ERROR_WANT_READ;
    return text;
  }
  std::string seal(std::string_view text) override {
    ERR_clear_error();
    if (!failed_ && !text.empty()) failed_ = SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) <= 0;
    return pending();
  }
  std::string close() override {
    if (!failed_) SSL_shutdown(ssl_.get());
    return pending();
  }
  std::string pending() override {
    BIO* bio = SSL_get_wbio(ssl_.get());
    std::string bytes(BIO_ctrl_pending(bio), '\0');
    if (!bytes.empty()) BIO_read(bio, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> ssl_;
  bool failed_ = false;  // or the server has ended
};

inline Address tls_address(int port, const TlsOptions& options) {
  return {port, [options] { return std::make_unique<TlsCipher>(options); }};
}

}  // namespace edgefleet::test
