#include "edge-agent/sensors/address.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>

namespace edgefleet::agent {
namespace {

// Addresses for documentation (RFC 5737, RFC 3849): the route to them is the default route.
constexpr const char* beyond_the_gateway = "192.0.2.1";
constexpr const char* beyond_the_gateway_6 = "2001:db8::1";
constexpr in_port_t any_port = 9;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// The socket functions take all families through this one type.
sockaddr* generic(sockaddr_storage& storage) { return reinterpret_cast<sockaddr*>(&storage); }  // NOLINT

Address parse(const std::string& host) {
  Address address;
  sockaddr_in four{};
  sockaddr_in6 six{};
  four.sin_family = AF_INET;
  four.sin_port = htons(any_port);
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(any_port);
  if (inet_pton(AF_INET, host.c_str(), &four.sin_addr) == 1) {
    std::memcpy(&address.storage, &four, sizeof four);
    address.size = sizeof four;
  } else if (inet_pton(AF_INET6, host.c_str(), &six.sin6_addr) == 1) {
    std::memcpy(&address.storage, &six, sizeof six);
    address.size = sizeof six;
  }
  return address;
}

std::string text_of(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address->sa_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, address, sizeof four);
    if ((ntohl(four.sin_addr.s_addr) >> 24U) == IN_LOOPBACKNET) return {};
    inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
  } else if (address->sa_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, address, sizeof six);
    if (IN6_IS_ADDR_LOOPBACK(&six.sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&six.sin6_addr)) return {};
    inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
  }
  return text.data();
}

// A datagram socket that is connected has the address of its route; nothing is sent.
std::string towards(const std::string& host) {
  Address to = parse(host);
  if (to.size == 0) return {};
  const int fd = socket(to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {};
  Address own;
  own.size = sizeof own.storage;
  const bool known =
      connect(fd, generic(to.storage), to.size) == 0 && getsockname(fd, generic(own.storage), &own.size) == 0;
  close(fd);
  return known ? text_of(generic(own.storage)) : std::string();
}

std::string first_interface() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(first, freeifaddrs);
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
      const bool up = one->ifa_addr != nullptr && (one->ifa_flags & IFF_UP) != 0;
      if (!up || one->ifa_addr->sa_family != family) continue;
      if (auto text = text_of(one->ifa_addr); !text.empty()) return text;
    }
  }
  return {};
}

}  // namespace

std::string own_address(const std::string& broker_host) {
  for (const std::string& host : {broker_host, std::string(beyond_the_gateway), std::string(beyond_the_gateway_6)}) {
    if (auto text = towards(host); !text.empty()) return text;
  }
  return first_interface();
}

}  // namespace edgefleet::agent
