// The lease of each attempt, which every heartbeat renews: what an agent lists is compared with what it was assigned.
#pragma once

#include <vector>

#include "coordinator/core/context.hpp"
#include "coordinator/core/tasks.hpp"

namespace edgefleet::coordinator {

// For a heartbeat that names our reign.
void renew_lease(Context& c, Agent& agent, const Heartbeat& beat);

std::vector<AttemptKey> attempts_of(const Agent& agent);  // by id

// The attempts of tasks without an outcome: `handle` may end them.
template <typename Handle>
void for_each_attempt(Context& c, const Agent& agent, Handle handle) {
  for (const auto& [id, attempt] : attempts_of(agent)) {
    const auto found = c.state.tasks.find(id);
    if (found != c.state.tasks.end() && !ended(found->second.record.state)) handle(found->second, attempt);
  }
}

}  // namespace edgefleet::coordinator
