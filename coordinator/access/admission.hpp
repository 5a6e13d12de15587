// What the loop asks of a closed fleet: about each task that is submitted, and about each agent that speaks.
#pragma once

#include <string>
#include <unordered_map>

#include "common/core/task.hpp"
#include "common/core/token_bucket.hpp"
#include "coordinator/access/enrolment.hpp"
#include "coordinator/access/registry.hpp"

namespace edgefleet::coordinator {

// Only on the loop's thread; never waits for a disk.
class Admission {
 public:
  Admission(const Registry& accesses, const Enrolment& enrolment) : accesses_(accesses), enrolment_(enrolment) {}

  // `name`: of an access. Errors: forbidden, with what is missing; busy, above its tasks a minute.
  Status may_submit(const std::string& name, const TaskSpec& spec, Time now);
  [[nodiscard]] bool is_enrolled(const AgentName& agent) const { return enrolment_.has(agent.str()); }
  // Whether its enrolment lets the agent offer the capability.
  [[nodiscard]] bool may_offer(const AgentName& agent, const Capability& capability) const;

 private:
  const Registry& accesses_;
  const Enrolment& enrolment_;
  std::unordered_map<std::string, TokenBucket> rates_;  // of accesses that have a limit
};

}  // namespace edgefleet::coordinator
