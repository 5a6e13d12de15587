// Shows agents and queues as text.
#pragma once

#include <string>
#include <vector>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"

namespace edgefleet::cli {

// What a fleet without agents shows instead of them.
inline const std::string no_agents =
    "no agent has announced itself yet; start one: edgefleet-agent, after `setup` with a token of "
    "`edgefleet join-token create`";

// `draining` as soon as it was ordered.
std::string state_of_agent(const Document& agent);
// Each a line that names the agent; none of an agent that is gone.
std::vector<std::string> problems_of_agent(const Document& agent);

// The answer of POST /api/v1/agents/{name}/drain and resume: "pi-1  draining; 2 tasks that it has go on".
std::string show_drained(const Document& answer, const Look& look);

// What an agent reports in GET /api/v1/agents/{name} about reading its configuration again.
struct Reload {
  std::uint64_t reloads = 0;  // so far
  std::string problem;        // of the last one; empty: it succeeded
  std::string changes;        // "added command-a; removed command-b"
};
Reload reload_of(const Document& agent);
// "pi-1  added command-a", and what needs a restart.
std::string show_reload(const Document& agent, const Look& look);

// GET /api/v1/agents: a table of the connected agents, and one of those that are gone.
std::string show_agents(const Document& answer, const Look& look);

// GET /api/v1/agents/{name}.
std::string show_agent(const Document& agent, const Look& look);

// GET /api/v1/queue: a table, and why tasks wait.
std::string show_queue(const Document& answer, const Look& look);

}  // namespace edgefleet::cli
