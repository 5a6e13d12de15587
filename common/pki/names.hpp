// The names of servers in certificates: DNS names and IP addresses.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"

namespace edgefleet::pki {

// Labels of a-z, 0-9 and '-' joined by dots, at most 253 bytes; not a wildcard, and not something that looks like an
// address (the last label is a number).
struct DnsTag {
  static bool valid(std::string_view text);
};
using DnsName = Name<DnsTag>;

struct IpAddress {
  std::string bytes;  // 4 or 16, in network order

  static std::optional<IpAddress> parse(std::string_view text);
  [[nodiscard]] std::string str() const;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

using HostName = std::variant<DnsName, IpAddress>;
// Capital letters become small ones.
Result<HostName> parse_host(std::string_view text);
Result<std::vector<HostName>> parse_hosts(const std::vector<std::string>& texts);

// All addresses that begin with the first `prefix` bits of one.
struct IpRange {
  IpAddress first;
  std::size_t prefix = 0;

  [[nodiscard]] std::string mask() const;  // as many bytes as the address has
};
// "203.0.113.0/24", "2001:db8::/32"; a single address is the range of itself.
Result<IpRange> parse_range(std::string_view text);

}  // namespace edgefleet::pki
