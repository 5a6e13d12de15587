// Shows agents and queues as text.
#pragma once

#include <string>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"

namespace edgefleet::cli {

// GET /api/v1/agents: a table.
std::string show_agents(const Document& answer, const Look& look);

// GET /api/v1/agents/{name}.
std::string show_agent(const Document& agent, const Look& look);

// GET /api/v1/queue: a table, and why tasks wait.
std::string show_queue(const Document& answer, const Look& look);

}  // namespace edgefleet::cli
