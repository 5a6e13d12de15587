// Pieces of URLs.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace edgefleet::http {

// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
std::string escape(std::string_view text);

// `path?a=1&b=2`, values escaped, pairs with an empty value omitted.
std::string with_query(std::string_view path,
                       std::initializer_list<std::pair<std::string_view, std::string>> parameters);

// Converts a typed address to a base URL: adds a missing scheme (http), removes trailing slashes.
std::string normal_base(std::string_view url);

// Whether it begins with http:// or https:// and names a host; a port is from 1 to 65535.
bool is_http_url(std::string_view base_url);

// Whether a typed address names a server. Without a scheme it needs a port: `x` alone is a mistake.
bool is_server(std::string_view url);

// Whether the base URL names this machine. Such calls never use a proxy.
bool is_loopback(std::string_view base_url);

}  // namespace edgefleet::http
