// The real core of an agent on a board of the model, with work that never ends or comes in bursts.
#pragma once

#include <string>

#include "tests/simulation/heat/board.hpp"

namespace edgefleet::simulation {

enum class Care { none, policy, firmware };  // no readings; the agent's policy; `heat = "firmware"`

struct Workload {
  std::string name;
  int slots = 4;
  double cores = 1;             // that one task uses
  Duration task = std::chrono::seconds(5);  // at full clock
  bool freezes = true;          // the agent can stop it
  int burst = 0;                // tasks that arrive together; 0: there is always another one
  Duration burst_every{0};
};

struct Outcome {
  int finished = 0;
  double core_hours = 0;   // of work at full clock, unfinished tasks included
  Duration throttled{0};   // the clock was lowered by the firmware
  Duration above{0};       // 80 C and more
  double highest = 0;
  double mean = 0;
  Duration frozen{0};
  Duration longest_wait{0};  // bursts: until the last one of a burst was done
};

Outcome simulate(const BoardModel& model, double air, const Workload& workload, Care care, Duration length);

}  // namespace edgefleet::simulation
