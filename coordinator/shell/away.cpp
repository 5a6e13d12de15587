#include "coordinator/shell/away.hpp"

#include <future>

#include "coordinator/core/fleet.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration patience = std::chrono::seconds(5);

Away away(const State& state, const std::vector<std::string>& names) {
  Away found;
  for (const auto& name : names) {
    const auto parsed = AgentName::parse(name);
    const Agent* const agent = parsed ? agent_by_name(state, *parsed) : nullptr;
    if (agent == nullptr || agent->status.state == AgentState::lost) found.silent.push_back(name);
    if (agent != nullptr && agent->status.state == AgentState::offline) found.stopped.push_back(name);
  }
  return found;
}

}  // namespace

std::optional<Away> who_is_away(Loop& loop, const std::vector<std::string>& names) {
  const auto answered = std::make_shared<std::promise<Away>>();
  auto answer = answered->get_future();
  const auto asked = loop.look([answered, names](const State& state, Now) { answered->set_value(away(state, names)); });
  if (!asked || answer.wait_for(patience) != std::future_status::ready) return std::nullopt;
  return answer.get();
}

}  // namespace edgefleet::coordinator
