#include <sys/socket.h>

#include <cerrno>

#include "common/http_server/link.hpp"

namespace edgefleet::http_server {
namespace {

class TcpLink final : public Link {
 public:
  explicit TcpLink(int socket) : socket_(socket) {}

  Io handshake() override { return {}; }

  Io read(char* into, std::size_t bytes) override {
    const ssize_t got = recv(socket_, into, bytes, MSG_DONTWAIT);
    if (got == 0) return {IoState::closed, 0};
    return got > 0 ? Io{IoState::done, static_cast<std::size_t>(got)} : after_error(IoState::want_read);
  }

  Io write(std::string_view bytes) override {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent >= 0 ? Io{IoState::done, static_cast<std::size_t>(sent)} : after_error(IoState::want_write);
  }

  Io end_writing() override {
    shutdown(socket_, SHUT_WR);
    return {};
  }

 private:
  static Io after_error(IoState wanted) {
    return {errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? wanted : IoState::failed, 0};
  }

  int socket_;
};

}  // namespace

std::unique_ptr<Link> tcp_link(int socket) { return std::make_unique<TcpLink>(socket); }

}  // namespace edgefleet::http_server
