// The address of a broker.
#pragma once

#include <cstdint>
#include <string>

#include "common/core/result.hpp"

namespace edgefleet::mqtt {

struct Address {
  std::string host;  // of IPv6 without brackets: fd00::2
  std::uint16_t port = 1883;
  bool tls = false;
  friend bool operator==(const Address&, const Address&) = default;
};

// mqtt://HOST[:PORT], or mqtts:// for TLS with the default port 8883; with or without a slash at its end.
Result<Address> parse_address(const std::string& broker);
// HOST:PORT, with brackets around an IPv6 address.
std::string authority_of(const Address& address);

}  // namespace edgefleet::mqtt
