#include "common/http_server/tls_link.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <cerrno>

namespace edgefleet::http_server {
namespace {

// ---- a socket for OpenSSL. Its own one writes with write(): a client that has gone would raise SIGPIPE.

int socket_of(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }  // NOLINT

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int send_some(BIO* bio, const char* bytes, std::size_t size, std::size_t* sent) {
  BIO_clear_retry_flags(bio);
  const ssize_t done = send(socket_of(bio), bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (done < 0 && would_block()) BIO_set_retry_write(bio);
  *sent = done > 0 ? static_cast<std::size_t>(done) : 0;
  return done > 0 ? 1 : 0;
}

int receive_some(BIO* bio, char* into, std::size_t size, std::size_t* got) {
  BIO_clear_retry_flags(bio);
  const ssize_t done = recv(socket_of(bio), into, size, MSG_DONTWAIT);
  if (done < 0 && would_block()) BIO_set_retry_read(bio);
  if (done == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  *got = done > 0 ? static_cast<std::size_t>(done) : 0;
  return done > 0 ? 1 : 0;
}

long control(BIO* bio, int command, long, void*) {  // NOLINT: OpenSSL's type
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* make_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without signals");
  if (method == nullptr) return nullptr;
  BIO_meth_set_write_ex(method, send_some);
  BIO_meth_set_read_ex(method, receive_some);
  BIO_meth_set_ctrl(method, control);
  return method;
}

BIO* socket_bio(int socket) {
  static const std::unique_ptr<BIO_METHOD, void (*)(BIO_METHOD*)> method(make_method(), BIO_meth_free);
  BIO* bio = method ? BIO_new(method.get()) : nullptr;
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket)));  // NOLINT: OpenSSL's type
  BIO_set_init(bio, 1);
  return bio;
}

// ----

struct Free {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};

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

  Io end_writing() override {
    if (broken_) return {IoState::failed, 0};
    ERR_clear_error();
    const int done = SSL_shutdown(ssl_.get());
    return done >= 0 ? Io{} : after(done);
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

std::unique_ptr<Link> tls_link(SSL_CTX* context, int socket) {
  std::unique_ptr<SSL, Free> ssl(SSL_new(context));
  BIO* bio = ssl ? socket_bio(socket) : nullptr;
  if (bio == nullptr) return nullptr;
  SSL_set_bio(ssl.get(), bio, bio);
  SSL_set_accept_state(ssl.get());
  return std::make_unique<TlsLink>(std::move(ssl));
}

}  // namespace edgefleet::http_server
