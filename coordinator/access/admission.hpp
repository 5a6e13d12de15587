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

  // All or none of the tasks. `name`: of an access; `client`: the same, or the access that made it, whose rate it has.
  // Errors: forbidden, with what is missing; busy, above its tasks a minute; too_large, more at once than that.
  Status may_submit(const std::string& name, const std::string& client, const std::vector<const TaskSpec*>& specs,
                    Time now);
  // The budget of the client, or of the access if the client has been revoked. 0: none.
  [[nodiscard]] std::uint64_t tokens_per_day(const std::string& name, const std::string& client) const;
  // Whether its enrolment lets the agent offer the capability.
  [[nodiscard]] bool may_offer(const AgentName& agent, const Capability& capability) const;

 private:
  Status may_name_artifacts(const Access& access, const TaskSpec& spec) const;
  Status judge(const Access& access, const TaskSpec& spec) const;
  Status within_rate(const Access& access, const std::string& client, std::size_t tasks, Time now);

  const Registry& accesses_;
  const Enrolment& enrolment_;
  Refusals& refusals_;
  const Knows knows_;
  std::unordered_map<std::string, TokenBucket> rates_;  // of clients that have a limit
};

}  // namespace edgefleet::coordinator
