// Decides about each request at the port for agents: who has no certificate of an enrolled agent may only join.
#pragma once

#include "common/http_server/site.hpp"
#include "coordinator/access/enrolment.hpp"
#include "coordinator/access/refusals.hpp"

namespace edgefleet::coordinator {

// The role of Route::role that an enrolled agent has.
inline constexpr std::string_view agent_role = "agent";

// Any thread. Waits for a disk once for each certificate that is not known (Enrolment::recognise).
class AgentsGate {
 public:
  AgentsGate(Enrolment& enrolment, Refusals& refusals) : enrolment_(enrolment), refusals_(refusals) {}
  [[nodiscard]] http_server::Verdict judge(const http_server::Request& head, const http_server::Route* route) const;
  [[nodiscard]] bool still_allowed(const http_server::Principal& principal) const;

 private:
  [[nodiscard]] std::optional<http_server::Principal> owner_of(const http_server::Peer& peer) const;

  Enrolment& enrolment_;
  Refusals& refusals_;
};

}  // namespace edgefleet::coordinator
