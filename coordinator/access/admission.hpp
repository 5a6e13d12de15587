// What the loop asks of a closed fleet: about each task that is submitted, and about each agent that speaks.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/core/task.hpp"
#include "common/core/token_bucket.hpp"
#include "coordinator/access/enrolment.hpp"
#include "coordinator/access/refusals.hpp"
#include "coordinator/access/registry.hpp"

namespace edgefleet::coordinator {

// Only on the loop's thread; never waits for a disk.
class Admission {
 public:
  // Whether that access has sent this artifact, or a task of it names it.
  using Knows = std::function<bool(const std::string& access, const std::string& artifact)>;

  Admission(const Registry& accesses, const Enrolment& enrolment, Refusals& refusals, Knows knows)
      : accesses_(accesses), enrolment_(enrolment), refusals_(refusals), knows_(std::move(knows)) {}

  // The access as which a client at the broker acts. Error: forbidden, it has none that has not ended.
  Result<std::string> submitter_of(const std::string& client);
  // All or none of the tasks. `name`: of an access. Errors: forbidden, with what is missing; busy, above its tasks a
  // minute; too_large, more at once than that.
  Status may_submit(const std::string& name, const std::vector<const TaskSpec*>& specs, Time now);
  [[nodiscard]] std::uint64_t tokens_per_day(const std::string& name) const;  // the budget of an access; 0: none
  // Whether its enrolment lets the agent offer the capability.
  [[nodiscard]] bool may_offer(const AgentName& agent, const Capability& capability) const;

 private:
  Status may_name_artifacts(const Access& access, const TaskSpec& spec) const;
  [[nodiscard]] Status judge(const Access& access, const TaskSpec& spec) const;
  Status within_rate(const Access& access, std::size_t tasks, Time now);

  const Registry& accesses_;
  const Enrolment& enrolment_;
  Refusals& refusals_;
  const Knows knows_;
  std::unordered_map<std::string, TokenBucket> rates_;  // of clients that have a limit
};

}  // namespace edgefleet::coordinator
