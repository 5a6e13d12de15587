#include "coordinator/http/site/gate.hpp"

#include <algorithm>
#include <cctype>

#include "common/core/trimmed.hpp"
#include "common/core/utf8.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/secret.hpp"
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

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

// `Authorization: Bearer KEY`, or `x-api-key: KEY`; empty: neither.
std::string_view credential_of(const Request& head) {
  const auto authorization = head.header("Authorization");
  constexpr std::string_view bearer = "bearer ";
  if (authorization.size() > bearer.size() && lower_case(authorization.substr(0, bearer.size())) == bearer) {
    return trimmed(authorization.substr(bearer.size()));
  }
  return trimmed(head.header("X-Api-Key"));
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

// A browser sends the origin of a page: pages of other sites may not use the fleet, whatever host name they use. A
// request without a credential of its own could be one that the browser makes for such a page without telling.
bool Gate::foreign_page(const Request& head, bool with_credential) const {
  const auto site = head.header("Sec-Fetch-Site");
  if (!with_credential && !site.empty() && site != "same-origin" && site != "none") return true;
  const auto origin = head.header("Origin");
  if (origin.empty()) return false;
  const auto scheme_end = origin.find("://");
  return (scheme_end == std::string_view::npos ? origin : origin.substr(scheme_end + 3)) != head.header("Host");
}

bool Gate::known_host(const Request& head) const {
  const auto host = host_of(head.header("Host"));
  if (rules_.hosts.empty()) return local_name(host);
  return std::find(rules_.hosts.begin(), rules_.hosts.end(), lower_case(host)) != rules_.hosts.end();
}

bool Gate::allowed_page(const Request& head) const {
  const auto origin = head.header("Origin");
  return !origin.empty() && std::find(rules_.origins.begin(), rules_.origins.end(), origin) != rules_.origins.end();
}

std::optional<Gate::Denial> Gate::identify(const Request& head, const http_server::Route* route,
                                           http_server::Principal& principal) const {
  if (rules_.accesses == nullptr) {
    principal.role = to_string(Role::admin);
    return std::nullopt;
  }
  const auto credential = credential_of(head);
  const auto access = rules_.accesses->find(credential, wall_now());
  const bool for_broker = access && !access->owner.empty();
  if (access && !for_broker) {
    principal = {access->name, std::string(to_string(access->role)), *secret_id(access_prefix, credential)};
  }
  if (route != nullptr && route->role.empty()) return std::nullopt;
  constexpr const char* advice = "; an access is made by `edgefleet access create NAME --role ROLE`";
  if (credential.empty()) {
    return Denial{401, std::string("this needs an access: send its key as `Authorization: Bearer`") + advice};
  }
  if (!access)
    return Denial{401, std::string("this key is not, or no longer, one of an access of this fleet") + advice};
  if (for_broker) {
    return Denial{403, "the access " + access->name + " is for the broker only; use the key of " + access->owner};
  }
  if (route == nullptr || may(access->role, route->role)) return std::nullopt;
  const std::string needed = " needs " + (route->role == "any" ? "an access" : route->role);
  const std::string has = "the access " + access->name + " has the role " + principal.role + "; ";
  return Denial{403, has + head.method + " " + head.path.substr(0, 200) + needed,
                has + route->method + " " + route->pattern + needed};
}

std::optional<Gate::Denial> Gate::denial(const Request& head, const http_server::Route* route, bool allowed_page,
                                         http_server::Principal& principal) const {
  if (!known_host(head)) {
    return Denial{421,
                  "this coordinator has no name \"" + std::string(cut_front(host_of(head.header("Host")), 100)) +
                      "\"; use one of its addresses, or a name that it knows",
                  "`Host` is not a name of this coordinator"};
  }
  if (!allowed_page && foreign_page(head, !credential_of(head).empty())) {
    return Denial{403,
                  "pages of other sites may not use this API; the coordinator's option --allow-origin names those that "
                  "may"};
  }
  return identify(head, route, principal);
}

bool Gate::still_allowed(const http_server::Principal& principal) const {
  return rules_.accesses == nullptr || rules_.accesses->has_key(principal.name, principal.credential, wall_now());
}

void Gate::note(const Request& head, const http_server::Principal& principal, const std::string& reason) const {
  if (rules_.refusals == nullptr) return;
  if (principal.name.empty()) return rules_.refusals->note_unknown(head.peer.address, reason);
  rules_.refusals->note(principal.name, reason);
}

http_server::Verdict Gate::judge(const Request& head, const http_server::Route* route) const {
  http_server::Verdict verdict;
  const bool allowed = allowed_page(head);
  if (allowed) verdict.headers = for_page(head);
  const bool preflight =
      allowed && known_host(head) && head.method == "OPTIONS" && head.headers.has("Access-Control-Request-Method");
  if (preflight) {
    verdict.refusal = Reply{204, {}, {}, {}, {}};  // a CORS preflight request never has a credential
  } else if (const auto denied = denial(head, route, allowed, verdict.principal)) {
    verdict.refusal = refuse({denied->status, denied->detail, {}}, head.path);
    if (denied->status == 401) verdict.refusal->headers.add("WWW-Authenticate", "Bearer realm=\"edgefleet\"");
    note(head, verdict.principal, denied->reason.empty() ? denied->detail : denied->reason);
  } else if (route != nullptr && head.header("Content-Type").starts_with("multipart/")) {
    verdict.refusal =
        refuse({415, "multipart bodies are not supported; send the file itself as the body", {}}, head.path);
  }
  return verdict;
}

}  // namespace edgefleet::coordinator
