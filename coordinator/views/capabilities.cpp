#include "coordinator/views/capabilities.hpp"

#include <algorithm>
#include <set>

#include "common/protocol/json.hpp"
#include "coordinator/core/fleet.hpp"

namespace edgefleet::coordinator {
namespace {

// Several executors of an agent may offer the same; it counts once.
void add_agent(Capabilities& all, const State& state, const Agent& agent) {
  std::set<Capability> offered;
  for (const ExecutorIndex index : agent.executors) {
    const ExecutorView& view = state.placement.executor(index);
    const bool serves = view.info.problem.empty();
    for (const Capability& capability : view.info.capabilities) {
      CapabilityCount& count = all[capability];
      if (offered.insert(capability).second) ++count.agents;
      if (!serves) continue;
      count.slots += static_cast<std::size_t>(view.info.slots);
      if (view.open) count.free += static_cast<std::size_t>(std::max(0, view.slots - view.assigned));
    }
  }
}

}  // namespace

bool add_capabilities(Capabilities& all, const State& state, std::size_t first, std::size_t most) {
  const std::size_t end = std::min(state.agents.size(), first + most);
  for (std::size_t i = first; i < end; ++i) {
    if (!gone(state.agents[i])) add_agent(all, state, state.agents[i]);
  }
  return end < state.agents.size();
}

std::string capabilities_view(const Capabilities& all) {
  std::string out;
  {
    json::ObjectWriter object(out);
    json::ArrayWriter capabilities(object.key("capabilities"));
    for (const auto& [name, count] : all) {
      json::ObjectWriter element(capabilities.next());
      element.string("name", name.str());
      element.unsigned_integer("agents", count.agents);
      element.unsigned_integer("slots", count.slots);
      element.unsigned_integer("free", count.free);
    }
  }
  return out;
}

}  // namespace edgefleet::coordinator
