#include "coordinator/http/site/gate.hpp"

#include <algorithm>
#include <cctype>

#include "coordinator/http/site/refuse.hpp"

namespace edgefleet::coordinator {
namespace {

using http_server::Headers;
using http_server::Reply;
using http_server::Request;

std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

// A name that the DNS of another site cannot point at this host: an address, or a name of the local network.
bool local_name(std::string_view host) {
  if (host.empty() || host.front() == '[' || host.find('.') == std::string_view::npos) return true;
  if (host.find_first_not_of("0123456789.") == std::string_view::npos) return true;
  const auto local_ends = {".local", ".lan", ".internal", ".home.arpa", ".localhost"};
  return std::any_of(local_ends.begin(), local_ends.end(), [&](const char* end) { return host.ends_with(end); });
}

// A browser sends the origin of a page: pages of other sites may not use the fleet, whatever host name they use.
bool foreign_page(const Request& head) {
  const auto origin = head.header("Origin");
  if (origin.empty()) return false;
  const auto scheme_end = origin.find("://");
  const auto authority = scheme_end == std::string_view::npos ? origin : origin.substr(scheme_end + 3);
  const auto host = head.header("Host");
  return authority != host || !local_name(host_of(host));
}

// The headers that let a page of another site read the answer; the page may send any header.
Headers for_page(const Request& head) {
  Headers headers;
  headers.add("Access-Control-Allow-Origin", std::string(head.header("Origin")));
  headers.add("Vary", "Origin");
  headers.add("Access-Control-Expose-Headers", "Location, Retry-After, X-Request-Id");
  if (head.method != "OPTIONS") return headers;
  headers.add("Access-Control-Allow-Methods", "GET, POST, PUT");
  headers.add("Access-Control-Max-Age", "600");
  const auto wanted = head.header("Access-Control-Request-Headers");
  const auto token = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == ',' || c == ' ';
  };
  if (!wanted.empty() && std::all_of(wanted.begin(), wanted.end(), token)) {
    headers.add("Access-Control-Allow-Headers", std::string(wanted));
  }
  return headers;
}

}  // namespace

http_server::Verdict judge(const Request& head, const http_server::Route* route,
                           const std::vector<std::string>& origins) {
  http_server::Verdict verdict;
  const auto origin = head.header("Origin");
  const bool allowed = !origin.empty() && std::find(origins.begin(), origins.end(), origin) != origins.end();
  if (allowed) verdict.headers = for_page(head);
  // The CORS preflight request.
  if (allowed && head.method == "OPTIONS" && head.headers.has("Access-Control-Request-Method")) {
    verdict.refusal = Reply{204, {}, {}, {}, {}};
  } else if (!allowed && foreign_page(head)) {
    verdict.refusal = refuse(
        {403,
         "pages of other sites may not use this API; the coordinator's option --allow-origin names those that may",
         {}},
        head.path);
  } else if (route != nullptr && head.header("Content-Type").starts_with("multipart/")) {
    verdict.refusal =
        refuse({415, "multipart bodies are not supported; send the file itself as the body", {}}, head.path);
  }
  return verdict;
}

}  // namespace edgefleet::coordinator
