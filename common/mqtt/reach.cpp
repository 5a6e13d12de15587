#include "common/mqtt/reach.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "common/core/error_text.hpp"
#include "common/mqtt/address.hpp"
#include "common/mqtt/handshake.hpp"

namespace edgefleet::mqtt {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

class Socket {
 public:
  explicit Socket(int family) : fd_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  Socket(Socket&&) = delete;
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  const int fd_;
};

// 0: connected.
int connect_error(int fd, const addrinfo& address, Duration patience) {
  if (fd < 0) return errno;
  int failure = ::connect(fd, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (failure == EINPROGRESS) {
    pollfd made{fd, POLLOUT, 0};
    failure = ETIMEDOUT;
    socklen_t size = sizeof failure;
    if (::poll(&made, 1, static_cast<int>(to_ms(patience))) == 1) {
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    }
  }
  return failure;
}

std::string text_of(int failure) {
  switch (failure) {
    case ECONNREFUSED:
      return "the connection is refused; no broker listens there, or only for its own machine";
    case ETIMEDOUT:
      return "no answer; check the address, and the firewall of the broker's machine";
    default:
      return "cannot connect: " + error_text(failure);
  }
}

}  // namespace

std::string why_unusable(const std::string& broker, const TlsFiles& files, Duration patience) {
  const auto place = parse_address(broker);
  if (!place) return place.error().message;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int failure = ::getaddrinfo(place->host.c_str(), std::to_string(place->port).c_str(), &hints, &found);
      failure != 0) {
    const bool unknown = failure == EAI_NONAME || failure == EAI_NODATA;
    return "the host name " + place->host +
           (unknown ? " is unknown" : " cannot be resolved: " + std::string(::gai_strerror(failure)));
  }
  const Addresses addresses(found, &::freeaddrinfo);
  int count = 0;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) ++count;
  int failure = 0;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const Socket socket(one->ai_family);
    failure = connect_error(socket.fd(), *one, patience / count);
    if (failure == 0 && place->tls) return why_no_tls(socket.fd(), *place, files, patience);
    if (failure == 0) {
      return "a server answers there, but accepts no MQTT 5 connection; check that this is the port of a broker, "
             "without "
             "TLS";
    }
  }
  return text_of(failure);
}

}  // namespace edgefleet::mqtt
