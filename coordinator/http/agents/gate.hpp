// Decides about each request at the port for agents: who has no certificate of an enrolled agent may only join.
#pragma once

#include "common/http_server/site.hpp"
#include "coordinator/access/enrolment.hpp"

namespace edgefleet::coordinator {

// The role of Route::role that an enrolled agent has.
inline constexpr std::string_view agent_role = "agent";

// Any thread; never blocks.
class AgentsGate {
 public:
  explicit AgentsGate(const Enrolment& enrolment) : enrolment_(enrolment) {}
  [[nodiscard]] http_server::Verdict judge(const http_server::Request& head, const http_server::Route* route) const;
  [[nodiscard]] bool still_allowed(const http_server::Principal& principal) const;

 private:
  const Enrolment& enrolment_;
};

}  // namespace edgefleet::coordinator
