#include "common/http/url.hpp"

#include <algorithm>
#include <array>

namespace edgefleet::http {
namespace {

bool unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~").find(c) != std::string_view::npos;
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
  const auto host = http ? base_url.substr(base_url.find("://") + 3) : std::string_view();
  return !host.empty() && host.front() != '/' && host.front() != ':' && host.front() != '?' && host.front() != '#';
}

bool is_loopback(std::string_view base_url) {
  const auto scheme = base_url.find("://");
  const auto host = scheme == std::string_view::npos ? base_url : base_url.substr(scheme + 3);
  constexpr std::array<std::string_view, 3> hosts = {"localhost", "127.", "[::1]"};
  return std::any_of(hosts.begin(), hosts.end(), [host](std::string_view name) {
    if (!host.starts_with(name)) return false;
    const auto rest = host.substr(name.size());
    return name.back() == '.' || rest.empty() || rest.front() == ':' || rest.front() == '/';
  });
}

}  // namespace edgefleet::http
