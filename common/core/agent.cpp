#include "common/core/agent.hpp"

#include <array>

namespace edgefleet {
namespace {

constexpr std::array<std::string_view, 5> agent_states{"online", "draining", "overheated", "offline", "lost"};
constexpr std::array<std::string_view, 3> heat_policies{"normal", "reduced", "paused"};

}  // namespace

std::string_view to_string(AgentState state) { return agent_states.at(static_cast<std::size_t>(state)); }
std::optional<AgentState> parse_agent_state(std::string_view text) {
  for (std::size_t i = 0; i < agent_states.size(); ++i) {
    if (agent_states[i] == text) return static_cast<AgentState>(i);
  }
  return std::nullopt;
}

std::string_view to_string(HeatPolicy policy) { return heat_policies.at(static_cast<std::size_t>(policy)); }
std::optional<HeatPolicy> parse_heat_policy(std::string_view text) {
  for (std::size_t i = 0; i < heat_policies.size(); ++i) {
    if (heat_policies[i] == text) return static_cast<HeatPolicy>(i);
  }
  return std::nullopt;
}

}  // namespace edgefleet
