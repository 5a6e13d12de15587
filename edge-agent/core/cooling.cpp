#include "edge-agent/core/cooling.hpp"

#include <algorithm>
#include <utility>

#include "edge-agent/core/state.hpp"

namespace edgefleet::agent {
namespace {

// Short compared with the seconds in which a chip warms up and with the grace of a cancel; long compared with the cost
// of a stop.
constexpr Duration duty_period = std::chrono::seconds(2);
// With a single slot, half the slots is a rest as long as the work before it; three quarters a third of it. A board
// has cooled down for the most part after two minutes.
constexpr Duration shortest_rest = std::chrono::seconds(1);
constexpr Duration longest_rest = std::chrono::minutes(2);
constexpr double least_share = 0.25;  // of a paused agent whose task has ended
constexpr Duration worth_giving_back = std::chrono::seconds(5);

// The share of time in which the processes of executors that freeze are stopped. With several slots, slots are removed
// first; a single slot cannot be removed, so its task is slowed as soon as the agent reduces its capacity.
double frozen_share(const State& state) {
  bool any = false;
  bool single = false;
  for (const auto& [name, executor] : state.executors) {
    const bool runs = executor.freezes && executor.running > 0;
    any = any || runs;
    single = single || (runs && executor.info.slots == 1);
  }
  if (state.heat.policy() == HeatPolicy::paused) return any ? state.heat.frozen_share() : 0;
  return single ? 1 - state.heat.share() : 0;
}

void set_frozen(State& state, bool frozen, Time now, Effects& effects) {
  Cooling& cooling = state.cooling;
  if (cooling.frozen == frozen) return;
  cooling.frozen = frozen;
  if (frozen) {
    cooling.frozen_at = now;
  } else {
    cooling.frozen_for += now - cooling.frozen_at;
  }
  effects.emplace_back(FreezeWork{frozen});
}

}  // namespace

int allowed_by_heat(const State& state, const ExecutorSlots& executor) {
  const double share = state.heat.share();
  if (share <= 0 || executor.rests_until) return 0;
  return std::min(executor.info.slots, std::max(1, static_cast<int>(executor.info.slots * share)));
}

bool rest_after(const State& state, ExecutorSlots& executor, Duration run, Time now) {
  if (state.heat.policy() == HeatPolicy::normal || executor.info.slots != 1 || executor.freezes) return false;
  executor.worked += run;
  if (executor.worked < shortest_rest) return false;  // several very short tasks share one rest
  const double share = std::max(state.heat.share(), least_share);
  const double rest_for_work = (1 - share) / share;
  const auto earned = std::chrono::duration_cast<Duration>(std::exchange(executor.worked, Duration{0}) * rest_for_work);
  const Duration rest = std::min(earned, longest_rest);
  executor.rests_until = now + rest;
  return rest >= worth_giving_back;
}

bool end_rests(State& state, Time now) {
  bool ended = false;
  for (auto& [name, executor] : state.executors) {
    if (!executor.rests_until) continue;
    if (*executor.rests_until > now && state.heat.policy() != HeatPolicy::normal) continue;
    executor.rests_until.reset();
    ended = true;
  }
  return ended;
}

void keep_duty(State& state, Time now, Effects& effects) {
  Cooling& cooling = state.cooling;
  cooling.next_toggle.reset();
  const double share = frozen_share(state);
  if (share <= 0) {
    cooling.cycle_began = now;
    return set_frozen(state, false, now, effects);
  }
  const Duration into = (now - cooling.cycle_began) % duty_period;
  const Duration frozen = std::chrono::duration_cast<Duration>(duty_period * share);
  set_frozen(state, into < frozen, now, effects);
  cooling.next_toggle = now - into + (into < frozen ? frozen : duty_period);
}

Duration extension(const State& state, const Held& held) {
  const auto executor = state.executors.find(held.executor);
  const bool freezes = executor != state.executors.end() && executor->second.freezes;
  if (held.phase != HeldPhase::running || !freezes) return Duration{0};
  return state.cooling.frozen_for - held.frozen_before;
}

std::optional<Time> next_cooling(const State& state) {
  std::optional<Time> next = state.cooling.next_toggle;
  for (const auto& [name, executor] : state.executors) {
    if (executor.rests_until && (!next || *executor.rests_until < *next)) next = executor.rests_until;
  }
  return next;
}

}  // namespace edgefleet::agent
