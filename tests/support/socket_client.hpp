// A client of a server on loopback that sends and reads bytes as they are.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace edgefleet::test {

class SocketClient {
 public:
  explicit SocketClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return;  // NOLINT: its shape
    ::close(socket_);
    throw std::runtime_error("no connection to port " + std::to_string(port));
  }
  SocketClient(const SocketClient&) = delete;
  SocketClient& operator=(const SocketClient&) = delete;
  SocketClient(SocketClient&&) = delete;
  SocketClient& operator=(SocketClient&&) = delete;
  ~SocketClient() { ::close(socket_); }

  // False: the server has closed the connection.
  bool send(std::string_view text) const {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  void end() const { ::shutdown(socket_, SHUT_WR); }

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
    pollfd ready{socket_, POLLIN, 0};
    if (poll(&ready, 1, 20'000) <= 0) return false;
    std::string piece(64 * 1024, '\0');
    const auto bytes = recv(socket_, piece.data(), piece.size(), 0);
    if (bytes > 0) got_.append(piece, 0, static_cast<std::size_t>(bytes));
    return bytes > 0;
  }

  int socket_;
  std::string got_;
};

}  // namespace edgefleet::test
