// The model endpoints: each request becomes a task of the fleet. docs/llm.md.
#pragma once

#include "coordinator/http/llm/catalogue/catalogue.hpp"
#include "coordinator/http/parts.hpp"

namespace edgefleet::coordinator::llm {

// Adds /v1/models, /v1/chat/completions, /v1/completions, /v1/embeddings, and the same below /openai.
void add_llm_routes(Routes& routes, const Parts& parts, Aliases aliases);

}  // namespace edgefleet::coordinator::llm
