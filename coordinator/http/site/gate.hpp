// Decides about each request before its body is read: who makes it, whether its role may use the route, and whether a
// page of another site makes it through somebody's browser. docs/security.md, "HTTP".
#pragma once

#include <string>
#include <vector>

#include "common/http_server/site.hpp"
#include "coordinator/access/refusals.hpp"
#include "coordinator/access/registry.hpp"

namespace edgefleet::coordinator {

// Any thread; never blocks.
class Gate {
 public:
  struct Rules {
    // Sites whose pages are allowed ("https://chat.example.org", "http://192.168.1.7:3000"; CORS).
    std::vector<std::string> origins;
    // Names and addresses of this listener, without a port. Empty: any address, and any name that only a local network
    // has, so that no other site's name can lead here (DNS rebinding).
    std::vector<std::string> hosts;
    // Who may use the fleet. nullptr: everybody who reaches the listener is the operator.
    const Registry* accesses = nullptr;
    Refusals* refusals = nullptr;  // where refused requests are counted
  };
  explicit Gate(Rules rules) : rules_(std::move(rules)) {}

  [[nodiscard]] http_server::Verdict judge(const http_server::Request& head, const http_server::Route* route) const;
  // Whether the access of a request in progress has neither been revoked nor expired, nor its key been replaced.
  [[nodiscard]] bool still_allowed(const http_server::Principal& principal) const;

 private:
  [[nodiscard]] bool known_host(const http_server::Request& head) const;
  [[nodiscard]] bool allowed_page(const http_server::Request& head) const;
  [[nodiscard]] bool foreign_page(const http_server::Request& head, bool with_credential) const;
  struct Denial {
    int status = 403;
    std::string detail;
    std::string reason{};  // of the audit, if `detail` has words of the request
  };
  void note(const http_server::Request& head, const http_server::Principal& principal, const std::string& reason) const;
  // Fills in the principal; no value: it may use the route.
  [[nodiscard]] std::optional<Denial> identify(const http_server::Request& head, const http_server::Route* route,
                                               http_server::Principal& principal) const;
  [[nodiscard]] std::optional<Denial> denial(const http_server::Request& head, const http_server::Route* route,
                                             bool allowed_page, http_server::Principal& principal) const;

  const Rules rules_;
};

}  // namespace edgefleet::coordinator
