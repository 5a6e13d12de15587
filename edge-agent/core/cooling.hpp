// How a hot agent slows its tasks: with one slot it rests between tasks, and processes that it can stop run on a
// duty cycle. The policy itself is in heat.hpp.
#pragma once

#include <optional>

#include "common/core/time.hpp"
#include "edge-agent/core/effect.hpp"

namespace edgefleet::agent {

struct State;
struct ExecutorSlots;
struct Held;

struct Cooling {
  bool frozen = false;
  Time frozen_at;
  Duration frozen_for{0};  // in total, without the current freeze
  Time cycle_began;         // each begins with its frozen part
  std::optional<Time> next_toggle;
};

// The number of tasks that the executor may run at the current temperature.
int allowed_by_heat(const State& state, const ExecutorSlots& executor);
// A task of the executor has ended. True: it now rests long enough that its waiting tasks should go elsewhere.
bool rest_after(const State& state, ExecutorSlots& executor, Duration run, Time now);
// Ends rests whose time is over. True: at least one ended.
bool end_rests(State& state, Time now);
// Freezes and thaws according to the duty cycle.
void keep_duty(State& state, Time now, Effects& effects);
// The extension of a running task's timeout: the time for which it was frozen.
Duration extension(const State& state, const Held& held);
// The time of the next of these changes.
std::optional<Time> next_cooling(const State& state);

}  // namespace edgefleet::agent
