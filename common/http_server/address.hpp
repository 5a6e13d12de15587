// Where to listen: "127.0.0.1:7001", "[::1]:0", "localhost:7001"; ":7001", "*:7001" and "[::]:7001" are all addresses
// of this machine, IPv4 and IPv6; "0.0.0.0:7001" is all of IPv4.
#pragma once

#include <string>

#include "common/core/result.hpp"

namespace edgefleet::http_server {

struct ListenAddress {
  std::string host;  // without brackets; empty: all
  int port = 0;      // 0: any free port

  [[nodiscard]] bool all() const { return host.empty(); }
  [[nodiscard]] bool loopback() const;
};

Result<ListenAddress> parse_listen(const std::string& text);
// An address that a person on this machine can open.
std::string url_of(const ListenAddress& address, bool tls);

}  // namespace edgefleet::http_server
