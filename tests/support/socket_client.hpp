// A client of a server on loopback that sends and reads bytes as they are.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace edgefleet::test {

// Between a client and its socket.
class Cipher {
 public:
  Cipher() = default;
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;
  Cipher(Cipher&&) = delete;
  Cipher& operator=(Cipher&&) = delete;
  virtual ~Cipher() = default;

  virtual std::string start() = 0;                          // the bytes to send first
  [[nodiscard]] virtual bool ready() const = 0;             // after the handshake, or its failure
  [[nodiscard]] virtual bool ended() const = 0;             // nothing more is sent or received
  virtual std::string put(std::string_view received) = 0;   // the text in it
  virtual std::string seal(std::string_view text) = 0;      // the bytes to send
  virtual std::string close() = 0;                          // the bytes to send last
  virtual std::string pending() = 0;                        // other bytes to send
};

// Of a server.
struct Address {
  Address(int p, std::function<std::unique_ptr<Cipher>()> c = {}) : port(p), cipher(std::move(c)) {}  // NOLINT: a port
  int port;
  std::function<std::unique_ptr<Cipher>()> cipher;  // empty: none
  std::uint32_t from = INADDR_LOOPBACK;  // the client's own address
};

class SocketClient {
 public:
  explicit SocketClient(const Address& server) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(server.from);
    bool done = ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;  // NOLINT: its shape
    address.sin_port = htons(static_cast<std::uint16_t>(server.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    done = done && ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;  // NOLINT
    if (!done) {
      ::close(socket_);
      throw std::runtime_error("no connection to port " + std::to_string(server.port));
    }
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    shake_hands(server);
  }
  SocketClient(const SocketClient&) = delete;
  SocketClient& operator=(const SocketClient&) = delete;
  SocketClient(SocketClient&&) = delete;
  SocketClient& operator=(SocketClient&&) = delete;
  ~SocketClient() { ::close(socket_); }

  // False: the server has closed the connection.
  bool send(std::string_view text) const {
    if (!cipher_) return send_bytes(text);
    return send_bytes(cipher_->seal(text)) && !cipher_->ended();
  }
  // As they are, also under TLS.
  bool send_bytes(std::string_view bytes) const {
    return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // The client sends no more.
  void end() const {
    if (cipher_) (void)send_bytes(cipher_->close());
    end_without_notice();
  }
  void end_without_notice() const { ::shutdown(socket_, SHUT_WR); }
  [[nodiscard]] Cipher* cipher() const { return cipher_.get(); }

  // All that has come, once `wanted` is part of it, or the server sends no more.
  const std::string& read_until(std::string_view wanted) {
    while (got_.find(wanted) == std::string::npos && receive()) {
    }
    return got_;
  }
  const std::string& read_all() {
    while (receive()) {
    }
    return got_;
  }

  // Takes bytes from the front of what comes; no value: they did not come.
  std::optional<std::string> take(std::size_t bytes) {
    while (got_.size() < bytes) {
      if (!receive()) return std::nullopt;
    }
    std::string taken = got_.substr(0, bytes);
    got_.erase(0, bytes);
    return taken;
  }
  std::optional<std::string> take_until(std::string_view end) {
    const auto at = read_until(end).find(end);
    return at == std::string::npos ? std::nullopt : take(at + end.size());
  }
  [[nodiscard]] bool empty() const { return got_.empty(); }

 private:
  // False: the end, or a server that is silent for too long.
  bool receive() {
    if (cipher_ && cipher_->ended()) return false;
    const std::string piece = receive_bytes();
    if (!cipher_ || piece.empty()) {
      got_ += piece;
      return !piece.empty();
    }
    const std::string text = cipher_->put(piece);
    got_ += text;
    (void)send_bytes(cipher_->pending());
    return !text.empty() || !cipher_->ended();
  }
  std::string receive_bytes() const {
    pollfd ready{socket_, POLLIN, 0};
    if (poll(&ready, 1, 20'000) <= 0) return {};
    std::string piece(64 * 1024, '\0');
    const auto bytes = recv(socket_, piece.data(), piece.size(), 0);
    piece.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    return piece;
  }
  void shake_hands(const Address& server) {
    if (!server.cipher) return;
    cipher_ = server.cipher();
    (void)send_bytes(cipher_->start());
    while (!cipher_->ready() && receive()) {
    }
  }

  int socket_;
  std::unique_ptr<Cipher> cipher_;
  std::string got_;
};

}  // namespace edgefleet::test
