// The state of a fleet on a page, of the answers of /ready, /api/v1/agents and /api/v1/queue.
#pragma once

#include <string>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"

namespace edgefleet::cli {

struct FleetAnswers {
  Document ready;
  Document agents;
  Document queue;
};
std::string show_status(const std::string& url, const FleetAnswers& answers, const Look& look);
// The coordinator can do its work: its store and its connection to the broker work.
bool works(const Document& ready);

}  // namespace edgefleet::cli
