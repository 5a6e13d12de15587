#include "coordinator/core/eviction.hpp"

#include <algorithm>

#include "coordinator/core/fleet.hpp"

namespace edgefleet::coordinator {
namespace {

bool is_dispensable(const Agent& agent) {
  return !vacant(agent) && gone(agent) && agent.attempts.empty() && !agent.drained;
}

// A message of an invented agent must not cost a look at all others.
void look_for_dispensable(State& state, Time now) {
  if (now < state.look_again_at) return;
  std::vector<AgentIndex> all;
  for (const Agent& agent : state.agents) {
    if (is_dispensable(agent)) all.push_back(agent.index);
  }
  if (all.empty()) state.look_again_at = now + state.policy.look_again_after;
  const auto heard = [&](AgentIndex index) { return state.agents[index].last_heard; };
  const auto most = std::min(all.size(), state.policy.dispensable_at_once);
  std::ranges::partial_sort(all, all.begin() + static_cast<std::ptrdiff_t>(most), {}, heard);
  all.resize(most);
  state.dispensable.assign(all.rbegin(), all.rend());
}

}  // namespace

std::optional<AgentIndex> take_dispensable(State& state, Time now) {
  for (const bool looked : {false, true}) {
    if (looked) look_for_dispensable(state, now);
    while (!state.dispensable.empty()) {
      const AgentIndex index = state.dispensable.back();
      state.dispensable.pop_back();
      if (is_dispensable(state.agents[index])) return index;
    }
  }
  return std::nullopt;
}

}  // namespace edgefleet::coordinator
