#include "coordinator/http/agents/gate.hpp"

#include "common/pki/certificate.hpp"
#include "coordinator/http/site/refuse.hpp"

namespace edgefleet::coordinator {

using http_server::Request;
using http_server::Verdict;

// Another machine may have the name by now.
bool AgentsGate::still_allowed(const http_server::Principal& principal) const {
  return enrolment_.owner_of(principal.credential) == principal.name;
}

std::optional<http_server::Principal> AgentsGate::owner_of(const http_server::Peer& peer) const {
  const auto certificate = pki::Certificate::from_der(peer.certificate);
  if (!certificate) return std::nullopt;
  auto name = enrolment_.owner_of(certificate->serial());
  if (!name) name = enrolment_.recognise(*certificate, peer.address);
  if (!name) return std::nullopt;
  return http_server::Principal{*name, std::string(agent_role), certificate->serial()};
}

// Every route shows who is there: an agent that the store does not know asks for nothing else for days.
Verdict AgentsGate::judge(const Request& head, const http_server::Route* route) const {
  Verdict verdict;
  const auto refusal = [&](int status, const std::string& detail) {
    verdict.refusal = refuse({status, detail, {}}, head.path);
    refusals_.note_unknown(head.peer.address, detail);
    return verdict;
  };
  if (head.headers.has("Origin")) return refusal(403, "this port is for agents; no web page may use it");
  const auto owner = head.peer.certificate.empty() ? std::nullopt : owner_of(head.peer);
  if (route != nullptr && route->role.empty()) return verdict;
  if (head.peer.certificate.empty()) {
    return refusal(401, "this needs the certificate of an agent; a machine joins with `edgefleet-agent join`");
  }
  if (!owner) {
    return refusal(403,
                   "this certificate is not, or no longer, one of an agent of this fleet; join again with "
                   "`edgefleet-agent join`, or, after a restore, let an operator readmit it");
  }
  verdict.principal = *owner;
  return verdict;
}

}  // namespace edgefleet::coordinator
