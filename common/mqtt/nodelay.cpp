// Paho C never sets TCP_NODELAY, so Nagle's algorithm and delayed acknowledgements stall every small message (measured:
// below 12 round trips a second one at a time; about 2,000 with it). The program therefore defines connect() itself,
// sets the option, and calls the real one; this covers reconnects too.
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/mqtt/nodelay.hpp"

namespace edgefleet::mqtt {

void use_tcp_nodelay() {}  // being linked in is what does it

}  // namespace edgefleet::mqtt

extern "C" int connect(int fd, const struct sockaddr* address, socklen_t length) {
  using Connect = int (*)(int, const struct sockaddr*, socklen_t);
  static const auto real = reinterpret_cast<Connect>(dlsym(RTLD_NEXT, "connect"));  // NOLINT: dlsym's own shape
  if (address->sa_family == AF_INET || address->sa_family == AF_INET6) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on what is not TCP: no matter
  }
  return real(fd, address, length);
}
