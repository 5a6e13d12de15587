// The scenarios that `./dev sim-llm` shows and llm_test.cpp compares with docs/llm.md.
#pragma once

#include "tests/simulation/llm/household.hpp"

namespace edgefleet::simulation {

// 200 single questions to two models, mixed, to two agents that can each hold one of them. `busy`: how busy both would
// be if nothing had to be loaded; 0: all questions come at once.
Servers two_servers();
std::vector<Talk> mixed_questions(double busy, std::uint64_t seed);

// `people` talk, ten turns each, to four agents with one model.
Servers four_servers();
std::vector<Talk> long_talks(int people, std::uint64_t seed);

}  // namespace edgefleet::simulation
