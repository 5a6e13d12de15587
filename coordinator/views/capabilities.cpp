#include "coordinator/views/capabilities.hpp"

#include <algorithm>
#include <map>

#include "common/protocol/json.hpp"
#include "coordinator/core/fleet.hpp"

namespace edgefleet::coordinator {
namespace {

using json::ArrayWriter;
using json::ObjectWriter;

struct Offered {
  std::size_t agents = 0;
  std::size_t online = 0;
  std::size_t slots = 0;  // of executors in service, of agents that are neither lost nor offline
  std::size_t free = 0;   // of those, at present
  const Agent* last = nullptr;  // an agent with two executors counts once
  std::map<std::string_view, std::size_t> descriptions;  // number of executors by digest
};

void count(Offered& offered, const Agent& agent, const ExecutorInfo& executor, const Capability& capability) {
  const bool here = !gone(agent);
  if (offered.last != &agent) {
    ++offered.agents;
    offered.online += here ? 1 : 0;
    offered.last = &agent;
  }
  if (here && executor.problem.empty()) offered.slots += static_cast<std::size_t>(executor.slots);
  const auto digest = executor.parameters.find(capability);
  if (digest != executor.parameters.end()) ++offered.descriptions[digest->second];
}

void count_free(std::map<Capability, Offered>& all, const ExecutorView& view) {
  if (!view.open || !view.info.problem.empty()) return;
  const auto free = static_cast<std::size_t>(std::max(0, view.slots - view.assigned));
  for (const Capability& capability : view.info.capabilities) all[capability].free += free;
}

// The description that most executors have; the number of different ones if there are several.
void write_parameters(ObjectWriter& object, const State& state, const Offered& offered) {
  const JsonText* best = nullptr;
  std::size_t most = 0;
  for (const auto& [digest, executors] : offered.descriptions) {
    const auto known = state.parameters.known.find(std::string(digest));
    if (known == state.parameters.known.end() || executors <= most) continue;
    best = &known->second;
    most = executors;
  }
  if (best != nullptr) object.raw("parameters", *best);
  if (offered.descriptions.size() > 1) object.unsigned_integer("variants", offered.descriptions.size());
}

}  // namespace

std::string capabilities_view(const State& state) {
  std::map<Capability, Offered> all;
  for (const Agent& agent : state.agents) {
    if (!agent.info) continue;
    for (const ExecutorInfo& executor : agent.info->executors) {
      for (const Capability& capability : executor.capabilities) count(all[capability], agent, executor, capability);
    }
  }
  for (const Agent& agent : state.agents) {
    for (const ExecutorIndex index : agent.executors) count_free(all, state.placement.executor(index));
  }
  std::string out;
  {
    ObjectWriter object(out);
    {
      ArrayWriter array(object.key("capabilities"));
      std::size_t shown = 0;
      for (const auto& [capability, offered] : all) {
        if (++shown > most_capabilities) break;
        ObjectWriter element(array.next());
        element.string("name", capability.str());
        element.unsigned_integer("agents", offered.agents);
        element.unsigned_integer("online", offered.online);
        element.unsigned_integer("slots", offered.slots);
        element.unsigned_integer("free", offered.free);
        write_parameters(element, state, offered);
      }
    }
    if (all.size() > most_capabilities) object.unsigned_integer("more", all.size() - most_capabilities);
  }
  return out;
}

}  // namespace edgefleet::coordinator
