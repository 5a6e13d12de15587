// Paho C never sets TCP_NODELAY, so Nagle's algorithm and delayed acknowledgements stall every small message (measured:
// below 12 round trips a second one at a time; about 2,000 with it). The program therefore defines connect() itself,
// sets the option, and calls the real one; this covers reconnects too.
//
// For the same reason it waits a moment for a connection that is being made: Paho looks at such a one only once a
// second, so every connect took a second longer than the network needs.
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "common/mqtt/nodelay.hpp"

namespace edgefleet::mqtt {

void use_tcp_nodelay() {}  // being linked in is what does it

// As connect() would have answered; still EINPROGRESS after a quarter of a second.
static int await_connection(int fd) {
  constexpr int patience_ms = 250;
  pollfd made{fd, POLLOUT, 0};
  int failure = EINPROGRESS;
  if (poll(&made, 1, patience_ms) == 1) {
    socklen_t size = sizeof failure;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0) return 0;
  }
  errno = failure;
  return -1;
}

}  // namespace edgefleet::mqtt

extern "C" int connect(int fd, const struct sockaddr* address, socklen_t length) {
  using Connect = int (*)(int, const struct sockaddr*, socklen_t);
  static const auto real = reinterpret_cast<Connect>(dlsym(RTLD_NEXT, "connect"));  // NOLINT: dlsym's own shape
  if (address->sa_family == AF_INET || address->sa_family == AF_INET6) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on what is not TCP: no matter
  }
  const int result = real(fd, address, length);
  return result == -1 && errno == EINPROGRESS ? edgefleet::mqtt::await_connection(fd) : result;
}
