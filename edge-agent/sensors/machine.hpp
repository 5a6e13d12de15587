// Properties of the machine.
#pragma once

#include <cstdint>
#include <string>

#include "common/core/agent.hpp"
#include "common/core/time.hpp"

namespace edgefleet::agent {

// Board, architecture, OS, CPUs, memory; and the labels that every agent has: arch, os, board (a short name: pi4, pi5,
// pi3, pizero2, else absent).
void describe_machine(AgentInfo& info);
// The serial number of the board, else the id of the system; empty: neither is known. It is not to be published as it
// is.
std::string machine_serial();
std::string short_board_name(const std::string& model);

double load_average();             // 1 minute
std::uint64_t free_memory_bytes();  // available to a new program (MemAvailable)

}  // namespace edgefleet::agent
