#include "common/mqtt/address.hpp"

#include <charconv>
#include <string_view>

namespace edgefleet::mqtt {
namespace {

constexpr std::string_view scheme = "mqtt://";

bool read_port(std::string_view text, std::uint16_t& port) {
  const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  return failure == std::errc{} && rest == text.data() + text.size() && port > 0;
}

}  // namespace

Result<Address> parse_address(const std::string& broker) {
  const Error wrong{"broker \"" + broker + "\" is not of the form mqtt://HOST:PORT", ErrorKind::invalid};
  if (!broker.starts_with(scheme)) return wrong;
  std::string_view rest = std::string_view(broker).substr(scheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto bracket = rest.rfind(']');
  const auto colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  Address address{std::string(host)};
  if (host.empty() || host.find_first_of("/@ []") != std::string_view::npos) return wrong;
  if (colon != std::string_view::npos && !read_port(rest.substr(colon + 1), address.port)) return wrong;
  return address;
}

std::string authority_of(const Address& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace edgefleet::mqtt
