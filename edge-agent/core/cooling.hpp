// What a hot agent does to what it runs: with one slot it rests between tasks, and what it can stop runs on a duty
// cycle. The policy itself is in heat.hpp.
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
  Duration frozen_for{0};  // all of it until now, but for what lasts
  Time cycle_began;         // each begins with its frozen part
  std::optional<Time> next_toggle;
};

// How many tasks the executor may run as warm as it is.
int allowed_by_heat(const State& state, const ExecutorSlots& executor);
// A task has ended there. True: the executor now rests long enough for others to do what waits for it.
bool rest_after(const State& state, ExecutorSlots& executor, Duration run, Time now);
// Ends rests that are over. True: one was.
bool end_rests(State& state, Time now);
// Freezes and thaws, as the duty cycle has it.
void keep_duty(State& state, Time now, Effects& effects);
// How much longer than asked for a running task may take, because it was frozen for so long.
Duration extension(const State& state, const Held& held);
// When the next of these things is due.
std::optional<Time> next_cooling(const State& state);

}  // namespace edgefleet::agent
