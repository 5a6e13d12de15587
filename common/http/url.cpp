#include "common/http/url.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "common/core/port.hpp"

namespace edgefleet::http {
namespace {

bool unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~").find(c) != std::string_view::npos;
}

// What follows the host's colon; an IPv6 address has its own in brackets.
std::optional<std::string_view> port_of(std::string_view host_and_port) {
  const auto colon = host_and_port.rfind(':');
  const auto bracket = host_and_port.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) return std::nullopt;
  return host_and_port.substr(colon + 1);
}

}  // namespace

std::string escape(std::string_view text) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (unreserved(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += hex[byte >> 4U];
    out += hex[byte & 15U];
  }
  return out;
}

std::string with_query(std::string_view path,
                       std::initializer_list<std::pair<std::string_view, std::string>> parameters) {
  std::string out(path);
  char separator = '?';
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    out += separator;
    out += name;
    out += '=';
    out += escape(value);
    separator = '&';
  }
  return out;
}

std::string normal_base(std::string_view url) {
  auto base = url.find("://") == std::string_view::npos ? "http://" + std::string(url) : std::string(url);
  while (base.ends_with('/') && !base.ends_with("://")) base.pop_back();
  return base;
}

bool is_http_url(std::string_view base_url) {
  const bool http = base_url.starts_with("http://") || base_url.starts_with("https://");
  const auto place = http ? base_url.substr(base_url.find("://") + 3) : std::string_view();
  const auto server = place.substr(0, place.find_first_of("/?#"));
  const auto host_and_port = server.substr(server.find('@') + 1);
  const auto port = port_of(host_and_port);
  return !host_and_port.empty() && host_and_port.front() != ':' && (!port || parse_port(*port));
}

bool is_server(std::string_view url) {
  const bool scheme = url.find("://") != std::string_view::npos;
  const auto server = url.substr(0, url.find_first_of("/?#"));
  return is_http_url(normal_base(url)) && (scheme || port_of(server));
}

bool is_loopback(std::string_view base_url) {
  const auto scheme = base_url.find("://");
  const auto host = scheme == std::string_view::npos ? base_url : base_url.substr(scheme + 3);
  constexpr std::array<std::string_view, 3> hosts = {"localhost", "127.", "[::1]"};
  return std::any_of(hosts.begin(), hosts.end(), [host](std::string_view name) {
    if (!host.starts_with(name)) return false;
    const auto rest = host.substr(name.size());
    if (name.back() == '.')
      return rest.substr(0, rest.find_first_of(":/")).find_first_not_of("0123456789.") == rest.npos;
    return rest.empty() || rest.front() == ':' || rest.front() == '/';
  });
}

}  // namespace edgefleet::http
