#include "common/mqtt/address.hpp"

#include <string_view>

#include "common/core/port.hpp"

namespace edgefleet::mqtt {
namespace {

constexpr std::string_view plain = "mqtt://";
constexpr std::string_view secure = "mqtts://";
constexpr std::uint16_t secure_port = 8883;

}  // namespace

Result<Address> parse_address(const std::string& broker) {
  const Error wrong{"broker \"" + broker + "\" is not of the form mqtt://HOST:PORT or mqtts://HOST:PORT",
                    ErrorKind::invalid};
  const bool tls = broker.starts_with(secure);
  if (!tls && !broker.starts_with(plain)) return wrong;
  std::string_view rest = std::string_view(broker).substr(tls ? secure.size() : plain.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto bracket = rest.rfind(']');
  const auto colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  Address address{std::string(host)};
  address.tls = tls;
  if (tls) address.port = secure_port;
  if (host.empty() || host.find_first_of("/@ []") != std::string_view::npos) return wrong;
  if (colon == std::string_view::npos) return address;
  const auto port = parse_port(rest.substr(colon + 1));
  if (!port) return wrong;
  address.port = *port;
  return address;
}

std::string authority_of(const Address& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace edgefleet::mqtt
