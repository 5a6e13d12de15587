// Pieces of URLs.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace edgefleet::http {

// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
std::string escape(std::string_view text);

// `path?a=1&b=2`, values escaped, pairs with an empty value left out.
std::string with_query(std::string_view path,
                       std::initializer_list<std::pair<std::string_view, std::string>> parameters);

// As a person types it -> what paths are appended to: a scheme is added (http) and a slash at the end dropped.
std::string normal_base(std::string_view url);

// Whether it begins with http:// or https:// and names a host.
bool is_http_url(std::string_view base_url);

// Whether the base URL names this machine. A proxy must never be asked for it.
bool is_loopback(std::string_view base_url);

}  // namespace edgefleet::http
