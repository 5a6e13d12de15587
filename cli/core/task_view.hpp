// Shows tasks as text.
#pragma once

#include <string>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"

namespace edgefleet::cli {

// GET /api/v1/tasks: a table.
std::string show_tasks(const Document& answer, const Look& look);

// GET /api/v1/tasks/{id}: its fields, its attempts as a timeline, and its error or `output` (JSON; empty: none).
std::string show_task(const Document& task, std::string_view output, const Look& look);

// The answer of POST /api/v1/tasks: "queued, about 3 ahead of it; 2 agents can take it", and why it waits.
std::string show_acceptance(const Document& answer);

// "queued, about 3 ahead of it: all agents that offer image.blur are paused for heat", "running on pi-2 (attempt 2)".
std::string task_status(const Document& task);

// "timed_out: it did not end within 10 s"
std::string error_text(const Document& error);

// "succeeded on pi-2, ran 1.2 s", "failed after 3 attempts: timed_out: ..."
std::string task_outcome(const Document& task);

}  // namespace edgefleet::cli
