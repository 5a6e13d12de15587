#include "common/http_server/address.hpp"

#include <charconv>

namespace edgefleet::http_server {

bool ListenAddress::loopback() const {
  const bool ipv4 = host.find_first_not_of("0123456789.") == std::string::npos;
  return (ipv4 && host.starts_with("127.")) || host == "::1" || host == "localhost";
}

Result<ListenAddress> parse_listen(const std::string& text) {
  const Error wrong{"\"" + text.substr(0, 100) + "\" is not of the form HOST:PORT", ErrorKind::invalid};
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return wrong;
  ListenAddress address{text.substr(0, colon), -1};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (error != std::errc() || stop != end || address.port < 0 || address.port > 65535) return wrong;
  std::string& host = address.host;
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  if (brackets && host.find(':') == std::string::npos) return wrong;  // "[]" must not be all addresses
  if (host.find(':') != std::string::npos && !brackets) {
    return Error{
        wrong.message + "; an IPv6 address is written in brackets: [" + host + "]:" + std::to_string(address.port),
        ErrorKind::invalid};
  }
  if (host == "*" || host == "::") host.clear();  // 0.0.0.0 is IPv4 only
  return address;
}

std::string url_of(const ListenAddress& address, bool tls) {
  std::string host = address.all() || address.host == "0.0.0.0" ? "localhost" : address.host;
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return (tls ? "https://" : "http://") + host + ":" + std::to_string(address.port);
}

}  // namespace edgefleet::http_server
