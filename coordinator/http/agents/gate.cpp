#include "coordinator/http/agents/gate.hpp"

#include "common/pki/certificate.hpp"
#include "coordinator/http/site/refuse.hpp"

namespace edgefleet::coordinator {

using http_server::Request;
using http_server::Verdict;

bool AgentsGate::still_allowed(const http_server::Principal& principal) const { return enrolment_.has(principal.name); }

Verdict AgentsGate::judge(const Request& head, const http_server::Route* route) const {
  Verdict verdict;
  const auto refusal = [&](int status, const std::string& detail) {
    verdict.refusal = refuse({status, detail, {}}, head.path);
    refusals_.note(head.peer.address, detail);
    return verdict;
  };
  if (head.headers.has("Origin")) return refusal(403, "this port is for agents; no web page may use it");
  if (route != nullptr && route->role.empty()) return verdict;
  if (head.peer.certificate.empty()) {
    return refusal(401, "this needs the certificate of an agent; a machine joins with `edgefleet-agent join`");
  }
  const auto certificate = pki::Certificate::from_der(head.peer.certificate);
  const auto name = certificate ? enrolment_.owner_of(certificate->serial()) : std::nullopt;
  if (!name) {
    return refusal(403,
                   "this certificate is not, or no longer, one of an agent of this fleet; join again with "
                   "`edgefleet-agent join`");
  }
  verdict.principal = {*name, std::string(agent_role)};
  return verdict;
}

}  // namespace edgefleet::coordinator
